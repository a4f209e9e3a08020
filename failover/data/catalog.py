"""What the stores hold: every snapshot with where it is whole, the orphans, and what is damaged. Read from listings and
the signed manifests alone; there is no index that could be wrong."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from failover.data.ask import ask_all
from failover.data.small import get_small
from failover.errors import Damaged, Denied, FailoverError
from failover.model import snapshot as names
from failover.model.snapshot import Manifest, Verification
from failover.ports.store import Store
from failover.trust.seal import open_seal

_STALL_S = 20.0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot. ``raw``: the manifest's exact bytes, to copy. ``stores`` hold it whole, ``partial`` some of it;
    ``providers``: of ``stores``, each once."""

    manifest: Manifest
    raw: bytes
    stores: tuple[str, ...]
    partial: tuple[str, ...]
    providers: tuple[str, ...]
    verified: Verification | None = None
    removing: bool = False


class Stray(msgspec.Struct, frozen=True, kw_only=True):
    """Objects without a manifest in any store."""

    id: str
    stores: tuple[str, ...]
    keys: tuple[str, ...]


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """``damaged`` and ``unreachable`` are shown, never guessed away."""

    entries: tuple[Entry, ...]
    orphans: tuple[Stray, ...]
    damaged: tuple[str, ...]
    unreachable: dict[str, str]

    def entry(self, snapshot: str) -> Entry | None:
        """The snapshot of that id, or ``None``."""
        return next((entry for entry in self.entries if entry.manifest.id == snapshot), None)

    def chain(self, snapshot: str) -> tuple[Entry, ...]:
        """The snapshot with all it is restored on top of, the full one first. Raises ``Damaged`` when one is missing
        from every store."""
        found: list[Entry] = []
        at = snapshot
        while at:
            entry = self.entry(at)
            if entry is None or entry in found:
                raise Damaged(f"snapshot {at} is in no store that answers", where=at, hint="failover snapshot list")
            found.append(entry)
            at = entry.manifest.parent
        return tuple(reversed(found))


_Listing = dict[str, dict[str, int]]  # snapshot's prefix -> name below it -> size


async def read_catalog(
    stores: Sequence[Store], *, fleet: str, system_identifier: str, trusted: Collection[str]
) -> Catalog:
    """Asks every store; one that does not answer is named, and the rest counts."""
    listings, silent = await ask_all(stores, lambda store: _listing(store, fleet, system_identifier))
    unreachable = {name: str(error) for name, error in silent.items()}
    by_name = {store.name: store for store in stores}
    entries, orphans, damaged = [], [], list[str]()
    for prefix in sorted({prefix for listing in listings.values() for prefix in listing}):
        holding = {store: listing[prefix] for store, listing in listings.items() if prefix in listing}
        finished = any(names.MANIFEST in held for held in holding.values())
        found = await _manifest(prefix, {name: by_name[name] for name in holding}, holding, trusted, damaged)
        if found is None and finished:
            continue  # a manifest that cannot be read, or is not ours, is noted: no orphan, and nothing to clear away
        if found is None:
            keys = sorted({prefix + name for held in holding.values() for name in held})
            orphans.append(Stray(id=prefix.split("/")[-2], stores=tuple(holding), keys=tuple(keys)))
            continue
        entries.append(await _entry(prefix, *found, by_name, holding, trusted, damaged))
    return Catalog(
        entries=tuple(sorted(entries, key=lambda entry: entry.manifest.id)),
        orphans=tuple(orphans),
        damaged=tuple(damaged),
        unreachable=unreachable,
    )


async def _listing(store: Store, fleet: str, system_identifier: str) -> _Listing:
    found: _Listing = {}
    for folder in names.snapshot_folders(fleet, system_identifier):
        async for stored in store.list(folder, stall_s=_STALL_S):
            snapshot, slash, name = stored.key.removeprefix(folder).partition("/")
            if slash and names.is_id(snapshot):
                found.setdefault(f"{folder}{snapshot}/", {})[name] = stored.size_bytes
    return found


async def _manifest(
    prefix: str,
    stores: dict[str, Store],
    holding: dict[str, dict[str, int]],
    trusted: Collection[str],
    damaged: list[str],
) -> tuple[Manifest, bytes] | None:
    """The first good one; every store that has another is noted."""
    best: tuple[Manifest, bytes] | None = None
    for name, store in stores.items():
        if names.MANIFEST not in holding[name]:
            continue
        try:
            raw = await get_small(store, prefix + names.MANIFEST)
            manifest = read_manifest(raw, prefix=prefix, trusted=trusted)
        except (Damaged, Denied) as error:
            wrong = str(error)
        except FailoverError as error:
            wrong = f"{prefix}{names.MANIFEST} could not be read: {error}"
        else:
            if best is None or best[1] == raw:
                best = manifest, raw
                continue
            wrong = f"{prefix}{names.MANIFEST} is another one than elsewhere"
        damaged.append(f"{name}: {wrong}")
        holding[name].pop(names.MANIFEST)
    return best


def read_manifest(raw: bytes, *, prefix: str, trusted: Collection[str]) -> Manifest:
    """A manifest that was signed for this place. Raises ``Damaged``, ``Denied``."""
    what = prefix + names.MANIFEST
    body = open_seal(raw, trusted=trusted, what=what)
    try:
        manifest = msgspec.json.decode(body, type=Manifest)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{what} is no manifest: {error}", where=what) from error
    if manifest.prefix != prefix:
        raise Damaged(f"{what} belongs to {manifest.prefix}", where=what)
    return manifest


async def _entry(
    prefix: str,
    manifest: Manifest,
    raw: bytes,
    stores: dict[str, Store],
    holding: dict[str, dict[str, int]],
    trusted: Collection[str],
    damaged: list[str],
) -> Entry:
    wanted = {stored.name: stored.size_bytes for stored in manifest.objects} | {names.MANIFEST: len(raw)}
    whole, partial = list[str](), list[str]()
    for name, held in holding.items():
        wrong = [part for part, size in wanted.items() if part in held and held[part] != size]
        damaged.extend(f"{name}: {prefix}{part} has {held[part]} bytes, not {wanted[part]}" for part in wrong)
        (whole if all(held.get(part) == size for part, size in wanted.items()) else partial).append(name)
    proofs = [
        proof
        for name, held in holding.items()
        for part in held
        if part.startswith(f"{names.VERIFIED}-")
        if (proof := await _proof(stores[name], prefix + part, manifest.id, trusted, damaged)) is not None
    ]
    return Entry(
        manifest=manifest,
        raw=raw,
        stores=tuple(whole),
        partial=tuple(partial),
        providers=tuple({stores[name].traits.provider: None for name in whole}),
        verified=max(proofs, key=lambda proof: proof.at, default=None),
        removing=any(names.REMOVED in held for held in holding.values()),
    )


async def _proof(
    store: Store, key: str, snapshot: str, trusted: Collection[str], damaged: list[str]
) -> Verification | None:
    """A signed result; one that is not ours proves nothing and is noted."""
    try:
        body = open_seal(await get_small(store, key), trusted=trusted, what=key)
        proof = msgspec.json.decode(body, type=Verification)
    except (FailoverError, msgspec.MsgspecError) as error:
        damaged.append(f"{store.name}: {key}: {error}")
        return None
    return proof if proof.id == snapshot else None
