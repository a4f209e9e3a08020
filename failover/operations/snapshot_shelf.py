"""What the stores hold of this fleet, read anew each time, and as the planners want it. Never writes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

import msgspec

from failover.data.catalog import Catalog, Entry, read_catalog
from failover.data.databases import databases
from failover.errors import Unreachable, UsageError
from failover.model.snapshot import QUORUM, created
from failover.model.stores import SnapshotRules
from failover.model.units import parse_lsn
from failover.operations.wired import Wired
from failover.planner.retention import Held, Orphan
from failover.planner.snapshot import Taken
from failover.planner.snapshot_pick import Candidate
from failover.ports.store import Store
from failover.trust.age_files import FOLDER
from failover.trust.ca import write_private
from failover.trust.seal import SealKey
from failover.trust.wal_seals import SEAL

SEALS = "seals"
WAL_SEALS = "wal-seals"


class Shelf(msgspec.Struct, frozen=True, kw_only=True):
    """By system identifier, in no order: a fleet that was destroyed and made anew leaves the snapshots of an earlier
    database. ``unreachable``: store -> why."""

    catalogs: dict[str, Catalog]
    unreachable: dict[str, str]

    def holder(self, snapshot: str) -> str:
        """The database whose snapshot this is, or ``""``."""
        return next((name for name, catalog in self.catalogs.items() if catalog.entry(snapshot) is not None), "")

    def newest_database(self) -> str:
        """That of the newest snapshot, or ``""``."""
        newest = [(catalog.entries[-1].manifest.id, name) for name, catalog in self.catalogs.items() if catalog.entries]
        return max(newest, default=("", ""))[1]

    def of_run(self, run: str) -> Entry | None:
        """The snapshot that this run of the journal took."""
        entries = [entry for catalog in self.catalogs.values() for entry in catalog.entries]
        return next((entry for entry in entries if entry.manifest.run == run), None)


def rules(wired: Wired) -> SnapshotRules:
    """What the fleet file says of snapshots. Raises ``UsageError`` when it says nothing."""
    found = wired.fleet.snapshots
    if found is None or not wired.fleet.stores:
        raise UsageError(
            "the fleet file has no stores and snapshots",
            where=str(wired.fleet_path),
            hint="add stores: at two providers, and snapshots: with the recipients of failover keys new",
        )
    return found


def seal_key(wired: Wired) -> SealKey:
    """What manifests and proofs of this fleet are signed with."""
    return SealKey.at(wired.state_dir / "trust" / SEAL)


def read_shelf(wired: Wired) -> Shelf:
    """Asks every store. Raises ``Unreachable`` when none answers."""
    return asyncio.run(shelf(wired))


def trusted_seals(wired: Wired) -> tuple[str, ...]:
    """Whose manifests are this fleet's: our own key, and the public keys noted beside the age keys (an earlier trust
    folder's, another operator's), which outlive a destroy like these."""
    wal_seals(wired)
    return _noted(wired, SEALS, [seal_key(wired).public])


def wal_seals(wired: Wired) -> tuple[str, ...]:
    """Who may have signed shipped WAL: the hosts of this fleet, and those that were noted before."""
    return _noted(wired, WAL_SEALS, [SealKey(secret).public for secret in wired.secrets.wal_seals.values()])


def _noted(wired: Wired, name: str, now: Sequence[str]) -> tuple[str, ...]:
    path = wired.fleet_path.parent / FOLDER / name
    noted = path.read_text(encoding="ascii").split() if path.exists() else []
    known = tuple(dict.fromkeys((*now, *noted)))
    if set(known) != set(noted):
        write_private(path, "".join(f"{public}\n" for public in known))
    return known


async def shelf(wired: Wired, stores: Sequence[Store] | None = None) -> Shelf:
    """The same inside a running loop; ``stores``: only these."""
    asked = wired.stores if stores is None else tuple(stores)
    found = await databases(asked, wired.fleet.name)
    if asked and len(found.unreachable) == len(asked):
        said = "; ".join(f"{name}: {why}" for name, why in found.unreachable.items())
        raise Unreachable(f"no store answers: {said}", hint="failover snapshot list")
    trusted = trusted_seals(wired)
    catalogs: dict[str, Catalog] = {}
    unreachable = dict(found.unreachable)
    for identifier in found.identifiers:
        catalog = await read_catalog(asked, fleet=wired.fleet.name, system_identifier=identifier, trusted=trusted)
        catalogs[identifier] = catalog
        unreachable |= catalog.unreachable
    return Shelf(catalogs=catalogs, unreachable=unreachable)


def held_of(catalog: Catalog) -> list[Held]:
    """For retention."""
    return [
        Held(
            id=entry.manifest.id,
            kind=entry.manifest.kind,
            parent=entry.manifest.parent,
            created_at=created(entry.manifest.id),
            stores=entry.stores,
            providers=entry.providers,
            verified=entry.verified is not None,
            removing=entry.removing,
        )
        for entry in catalog.entries
    ]


def orphans_of(catalog: Catalog) -> list[Orphan]:
    """For retention."""
    return [Orphan(id=one.id, begun_at=created(one.id), stores=one.stores) for one in catalog.orphans]


def taken_of(catalog: Catalog) -> list[Taken]:
    """For the choice of the next one."""
    manifests = {entry.manifest.id: entry.manifest for entry in catalog.entries}
    return [
        Taken(
            held=held,
            timeline=manifests[held.id].timeline,
            start_lsn=parse_lsn(manifests[held.id].start_lsn),
            system_identifier=manifests[held.id].system_identifier,
            encrypted_to=manifests[held.id].encrypted_to,
        )
        for held in held_of(catalog)
    ]


def candidates_of(catalog: Catalog) -> list[Candidate]:
    """Those that two providers hold with all they stand on, and that nobody removes."""
    known = {entry.manifest.id: entry for entry in catalog.entries}
    return [candidate_of(entry) for entry in catalog.entries if _counts(entry, known)]


def _counts(entry: Entry, known: dict[str, Entry]) -> bool:
    passed: set[str] = set()
    at: str = entry.manifest.id
    while at:
        link = known.get(at)
        if link is None or at in passed or link.removing or len(link.providers) < QUORUM:
            return False
        passed.add(at)
        at = link.manifest.parent
    return True


def candidate_of(entry: Entry) -> Candidate:
    """One, whether it counts or not."""
    manifest = entry.manifest
    proven = {entry.verified.site: datetime.fromisoformat(entry.verified.at)} if entry.verified is not None else {}
    return Candidate(
        id=manifest.id,
        timeline=manifest.timeline,
        stop=manifest.stop,
        finished_at=datetime.fromisoformat(manifest.finished_at or manifest.created_at),
        taken_from=manifest.taken_from,
        proven=proven,
    )
