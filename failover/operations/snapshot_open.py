"""What verify and restore share: which snapshot, read from which stores, with progress; and one at a time in a folder,
which sweeps away what a killed one left."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from failover.data.catalog import Catalog, Entry
from failover.data.unpack import Seen
from failover.errors import Damaged, LeaseHeld, UsageError
from failover.model.snapshot import DATA, is_id
from failover.operations.pace import Pace
from failover.operations.snapshot_shelf import Shelf
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.ports.scratch import Scratch
from failover.ports.store import Store


class Phases:
    """``data.restore.Phase``: each phase told, transfers with rate and time left."""

    def __init__(self, chain: Sequence[Entry], watch: Watch) -> None:
        self._sizes = {entry.manifest.id: _data_bytes(entry) for entry in chain}
        self._watch = watch
        self._pace: Pace | None = None

    def __call__(self, words: str) -> Seen | None:
        """A phase begins."""
        self.end()
        size = self._sizes.get(words.rpartition(" ")[2])
        if size is None:
            self._watch.note(words)
            return None
        self._pace = Pace(words, size, self._watch.flow)
        return self._pace.add

    def end(self) -> None:
        """The last transfer is over."""
        pace, self._pace = self._pace, None
        if pace is not None:
            pace.end()


def catalog_of(shelf: Shelf, snapshot: str) -> Catalog:
    """That of the database whose snapshot this is; without a name, of the newest. Raises ``UsageError``; ``Damaged``
    for one whose manifest is there and cannot be read, or is signed by nobody of this fleet."""
    if snapshot and not is_id(snapshot):
        raise UsageError(f"{snapshot} is no snapshot's id", hint="failover snapshot list")
    database = shelf.holder(snapshot) if snapshot else shelf.newest_database()
    wrong = [line for catalog in shelf.catalogs.values() for line in catalog.damaged if snapshot and snapshot in line]
    if not database and wrong:
        raise Damaged(f"{snapshot} is no snapshot of this fleet: {'; '.join(wrong)}", hint="failover snapshot list")
    if not database:
        said = "; ".join(f"{name}: {why}" for name, why in shelf.unreachable.items())
        what = f"no store that answers has {snapshot or 'a snapshot'}" + (f" ({said})" if said else "")
        raise UsageError(what, hint="failover snapshot list")
    return shelf.catalogs[database]


def sites_with_store(wired: Wired) -> tuple[str, ...]:
    """Sites whose provider has a store of the fleet."""
    providers = {store.provider for store in wired.fleet.stores}
    return tuple(site.name for site in wired.fleet.sites if site.provider in providers)


def stores_from(wired: Wired, site: str) -> tuple[Store, ...]:
    """All stores, those of the site's provider first. Raises ``UsageError`` when there is no such site, or no such
    store."""
    if site not in {one.name for one in wired.fleet.sites}:
        names = ", ".join(one.name for one in wired.fleet.sites)
        raise UsageError(f"there is no site {site}", hint=f"sites: {names}")
    provider = wired.fleet.site(site).provider
    if site not in sites_with_store(wired):
        hint = f"--at {sites_with_store(wired)[0]}"
        raise UsageError(f"provider {provider} of {site} has no store of this fleet", hint=hint)
    return tuple(sorted(wired.stores, key=lambda store: store.traits.provider != provider))


@contextmanager
def alone_in(folder: Path, scratch: Scratch) -> Iterator[None]:
    """One verification at a time; a server and files that a killed one left are gone before the next begins."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LeaseHeld(f"another verification works in {folder}", hint="wait for it to end") from error
        for left in folder.glob("verify-*"):
            scratch.sweep(left / "copy.restoring" / "data")
            shutil.rmtree(left)
        yield


def _data_bytes(entry: Entry) -> int:
    stored = entry.manifest.object(DATA)
    return stored.size_bytes if stored is not None else 0
