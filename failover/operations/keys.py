"""``keys list``, ``test`` and ``rotate``: who can open the snapshots, shown and tried."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path

from failover.config.fleet import check_fleet_bytes
from failover.data.catalog import Entry
from failover.data.small import get_small
from failover.errors import Damaged, Denied, FailoverError, UsageError
from failover.model.snapshot import FILE_LIST
from failover.model.snapshot_shown import KeyShown, KeysShown
from failover.operations.age_keys import SUFFIX, keys_dir, keys_here, new_key
from failover.operations.snapshot_shelf import read_shelf, rules
from failover.operations.wired import Wired
from failover.trust.age import MINIMUM, AgeKey, refusals
from failover.trust.ca import write_private


def list_keys(wired: Wired, files: Sequence[Path] = ()) -> KeysShown:
    """The fleet file's recipients and the keys on this machine; asks the stores how many snapshots need each."""
    entries = _entries(wired)
    return KeysShown(keys=_rows(wired, files, entries))


def try_keys(wired: Wired, files: Sequence[Path] = ()) -> KeysShown:
    """Every snapshot is opened with each key at hand alone, as far as it is encrypted to it. Raises ``Denied`` when one
    does not open what it should, ``Damaged`` when no store has a good copy of what is opened."""
    found = {key.public: key for key in keys_here(wired, files).values()}
    if not found:
        raise UsageError("no private age key is here", hint="name its file: --key FILE")
    entries = _entries(wired)
    if not entries:
        raise UsageError("there is no snapshot yet to be opened", hint="failover snapshot create")
    asyncio.run(_open_all(wired, entries, found))
    rows = [
        KeyShown(
            recipient=row.recipient,
            declared=row.declared,
            file=row.file,
            snapshots=row.snapshots,
            opens=True if row.recipient in found and row.snapshots else None,
            problem="" if row.recipient in found else "its private key is not here: try it where it is kept",
        )
        for row in _rows(wired, files, entries)
    ]
    opened = sum(1 for row in rows if row.opens)
    return KeysShown(keys=tuple(rows), summary=f"{opened} of {len(rows)} keys open all of {len(entries)} snapshots")


def proven(shown: KeysShown) -> bool:
    """Every recipient the fleet file names was tried and opens, and there are enough of them."""
    declared = [row for row in shown.keys if row.declared]
    return len(declared) >= MINIMUM and all(row.opens for row in declared)


def rotate(wired: Wired, old: str, out: Path | None) -> KeysShown:
    """A new key in place of the recipient ``old`` in the fleet file. The old key's file stays: earlier snapshots need
    it until the last of them is pruned. The next snapshot is a full one."""
    declared = rules(wired).recipients
    if old not in declared:
        raise UsageError(f"the fleet file has no recipient {old}", hint=f"one of: {', '.join(declared)}")
    text = wired.fleet_path.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise UsageError(
            f"{old} stands {text.count(old)} times in the file", where=str(wired.fleet_path), hint="change it by hand"
        )
    path = out if out is not None else _free(keys_dir(wired))
    key = new_key(path)
    changed = text.replace(old, key.public)
    fleet, findings = check_fleet_bytes(changed.encode(), str(wired.fleet_path))
    if fleet is None:
        path.unlink()
        raise UsageError(f"the fleet file would not be valid: {findings[0].message}", where=str(wired.fleet_path))
    mode = wired.fleet_path.stat().st_mode & 0o777
    write_private(wired.fleet_path, changed)
    wired.fleet_path.chmod(mode)
    return KeysShown(
        keys=(KeyShown(recipient=key.public, declared=True, file=str(path)), KeyShown(recipient=old, declared=False)),
        summary=f"{key.public} takes the place of {old}",
        written=(str(path), str(wired.fleet_path)),
    )


def _free(folder: Path) -> Path:
    numbers = (number for number in range(1, 10_000) if not (folder / f"rotated-{number}{SUFFIX}").exists())
    return folder / f"rotated-{next(numbers)}{SUFFIX}"


def _entries(wired: Wired) -> list[Entry]:
    return [entry for catalog in read_shelf(wired).catalogs.values() for entry in catalog.entries]


def _rows(wired: Wired, files: Sequence[Path], entries: Sequence[Entry]) -> tuple[KeyShown, ...]:
    declared = rules(wired).recipients
    places = {key.public: path for path, key in keys_here(wired, files).items()}
    used = [recipient for entry in entries for recipient in entry.manifest.encrypted_to]
    return tuple(
        KeyShown(
            recipient=recipient,
            declared=recipient in declared,
            file=str(places[recipient]) if recipient in places else "",
            snapshots=used.count(recipient),
        )
        for recipient in dict.fromkeys((*declared, *used, *places))
    )


async def _open_all(wired: Wired, entries: Sequence[Entry], found: dict[str, AgeKey]) -> None:
    for entry in entries:
        keys = [found[recipient] for recipient in entry.manifest.encrypted_to if recipient in found]
        if keys:
            refused = await asyncio.to_thread(refusals, await _small_object(wired, entry), keys)
            if refused:
                who = ", ".join(refused)
                raise Denied(f"{entry.manifest.id} is encrypted to {who} and does not open with it", where=who)


async def _small_object(wired: Wired, entry: Entry) -> bytes:
    """The snapshot's smallest object, encrypted to the same keys as all of it, from the first store that has it
    right."""
    wanted = entry.manifest.object(FILE_LIST)
    key = entry.manifest.prefix + FILE_LIST
    said: list[str] = []
    for store in wired.stores:
        if store.name not in entry.stores + entry.partial:
            continue
        try:
            ciphertext = await get_small(store, key)
        except FailoverError as error:
            said.append(f"{store.name}: {error}")
            continue
        if wanted is not None and hashlib.sha256(ciphertext).hexdigest() == wanted.sha256:
            return ciphertext
        said.append(f"{store.name}: damaged")
    raise Damaged(f"no store has a good copy of {key}: {'; '.join(said)}", where=key, hint="failover snapshot list")
