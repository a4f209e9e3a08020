"""``snapshot list``: what the stores hold, as it is shown."""

from __future__ import annotations

import hashlib

import msgspec

from failover.data.catalog import Catalog, Entry
from failover.errors import UsageError
from failover.model.snapshot import Digests, Verification
from failover.model.snapshot_shown import SnapshotShown, SnapshotsShown, StoreShown, VerifiedShown
from failover.operations.snapshot_shelf import Shelf, candidates_of, read_shelf, rules
from failover.operations.wired import Wired


def list_snapshots(wired: Wired) -> SnapshotsShown:
    """Every snapshot of every database this fleet had. Raises ``Unreachable`` when no store answers."""
    rules(wired)
    return shown(wired, read_shelf(wired))


def shown(wired: Wired, shelf: Shelf) -> SnapshotsShown:
    """The same of what was read already."""
    catalogs = list(shelf.catalogs.values())
    found = [one for catalog in catalogs for one in _of(wired, catalog)]
    return SnapshotsShown(
        snapshots=tuple(sorted(found, key=lambda one: one.id)),
        orphans=tuple(sorted(stray.id for catalog in catalogs for stray in catalog.orphans)),
        damaged=tuple(line for catalog in catalogs for line in catalog.damaged),
        unreachable=shelf.unreachable,
    )


def of_run(wired: Wired, run: str) -> SnapshotShown:
    """The snapshot that a run took. Raises ``UsageError`` when no store has it."""
    for one in shown(wired, read_shelf(wired)).snapshots:
        if one.run == run:
            return one
    raise UsageError(f"run {run} left no snapshot", hint="failover snapshot list")


def _of(wired: Wired, catalog: Catalog) -> list[SnapshotShown]:
    counting = {one.id for one in candidates_of(catalog)}
    return [snapshot_shown(wired, entry, counts=entry.manifest.id in counting) for entry in catalog.entries]


def snapshot_shown(wired: Wired, entry: Entry, *, counts: bool, read_whole: tuple[str, ...] = ()) -> SnapshotShown:
    """One. ``read_whole``: stores whose every byte was compared just now."""
    manifest = entry.manifest
    return SnapshotShown(
        id=manifest.id,
        kind=manifest.kind,
        parent=manifest.parent,
        why=manifest.why,
        lsn=manifest.lsn,
        timeline=manifest.timeline,
        created_at=manifest.created_at,
        finished_at=manifest.finished_at,
        taken_from=manifest.taken_from,
        database=manifest.system_identifier,
        counts=counts,
        removing=entry.removing,
        bytes=manifest.total_bytes,
        stores=tuple(
            StoreShown(
                store=store.name,
                provider=store.traits.provider,
                objects=len(manifest.objects) + 1,
                bytes=manifest.total_bytes + len(entry.raw),
                whole=store.name in entry.stores,
                sha256_ok=True if store.name in read_whole else None,
            )
            for store in wired.stores
            if store.name in entry.stores + entry.partial
        ),
        encrypted_to=manifest.encrypted_to,
        verified=verified_shown(entry.verified, manifest.digests) if entry.verified is not None else None,
        run=manifest.run,
    )


def verified_shown(proof: Verification, digests: tuple[Digests, ...]) -> VerifiedShown:
    """A proof with one digest over all tables."""
    text = msgspec.json.encode(digests)
    return VerifiedShown(
        at=proof.at,
        site=proof.site,
        store=proof.store,
        lsn=proof.lsn,
        rows=proof.rows,
        digest=hashlib.sha256(text).hexdigest() if digests else "",
        seconds=proof.seconds,
        checks=proof.checks,
    )
