"""``snapshot restore``: into an empty folder of this machine, never over anything, never a member of the fleet."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from failover.data.catalog import Catalog
from failover.data.databases import timelines
from failover.data.further import Further, Reader, ways
from failover.data.restore import restore
from failover.errors import Refused, UsageError
from failover.model.snapshot_shown import RestoredShown
from failover.model.units import Lsn, format_lsn, utc_text
from failover.operations.age_keys import need_keys
from failover.operations.snapshot_open import Phases, catalog_of, stores_from
from failover.operations.snapshot_shelf import candidate_of, candidates_of, read_shelf, rules, wal_seals
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.planner.hostspec_net import LOCAL
from failover.planner.snapshot_pick import Candidate, before_lsn, before_time, newest
from failover.planner.wal import Stretch


class RestoreAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``snapshot`` empty: the one that fits. At most one of ``to_lsn``, ``to_time``, ``latest``; none: the snapshot
    itself. Exactly one of ``into`` and ``site``; with ``into``, ``site`` may say whose store is read first."""

    snapshot: str = ""
    to_lsn: Lsn | None = None
    to_time: datetime | None = None
    latest: bool = False
    into: Path | None = None
    site: str = ""

    @property
    def further(self) -> bool:
        """Beyond the snapshot, over shipped WAL."""
        return self.latest or self.to_lsn is not None or self.to_time is not None


_Ways = dict[int, tuple[Stretch, ...]]


def restore_snapshot(wired: Wired, ask: RestoreAsk, keys: Sequence[Path], watch: Watch) -> RestoredShown:
    """Repeatable after it was killed: goes on in the folder beside the target. Raises ``UsageError`` when the target is
    not empty, ``Damaged`` when what is stored is wrong, ``Refused`` when the stores' WAL does not reach that far."""
    began_s = time.monotonic()
    rules(wired)
    opens = need_keys(wired, keys)
    stores = stores_from(wired, ask.site) if ask.site else wired.stores
    reader = Reader(stores=stores, keys=opens, seals=wal_seals(wired))
    catalog = catalog_of(read_shelf(wired), ask.snapshot)
    known = asyncio.run(_ways(wired, catalog, reader)) if ask.further else {}
    chosen = _choose(catalog, ask, known)
    chain = catalog.chain(chosen.id)
    into = target(wired, ask, chosen.id)
    wal = _further(chosen, ask, known) if ask.further else None
    phases = Phases(chain, watch)
    watch.note(f"{chosen.id} into {into}")
    done = asyncio.run(restore(chain, reader, wired.scratch(), into, wal=wal, phase=phases))
    phases.end()
    return RestoredShown(
        id=chosen.id,
        into=str(into),
        lsn=done.lsn,
        exact=done.exact,
        seconds=round(time.monotonic() - began_s, 3),
        notes=done.notes,
    )


def target(wired: Wired, ask: RestoreAsk, snapshot: str) -> Path:
    """Where the copy goes: never a place that a fleet's host has or may have."""
    if ask.into is not None:
        into = ask.into.absolute()
        state = wired.state_dir.absolute()
        if into == state or (state in into.parents and wired.snapshots_dir.absolute() not in into.parents):
            hint = "name a folder outside, or --at SITE"
            raise UsageError(f"{into} lies where the fleet's own hosts have their data", hint=hint)
        return into
    if wired.fleet.site(ask.site).kind != LOCAL:
        raise UsageError(f"{ask.site} is another machine", hint="on that machine: failover snapshot restore --into DIR")
    return wired.snapshots_dir / "restored" / ask.site / snapshot


async def _ways(wired: Wired, catalog: Catalog, reader: Reader) -> _Ways:
    manifest = catalog.entries[-1].manifest
    known = await timelines(reader.stores, wired.fleet.name, manifest.system_identifier)
    with tempfile.TemporaryDirectory(prefix="failover-history-") as folder:
        return await ways(
            wired.fleet.name, manifest.system_identifier, reader, known,
            segment_bytes=manifest.wal_segment_bytes, into=Path(folder),
        )  # fmt: skip


def _choose(catalog: Catalog, ask: RestoreAsk, known: _Ways) -> Candidate:
    """The snapshot to begin with. One that is named is taken also when it does not count: better than nothing."""
    if ask.snapshot:
        return candidate_of(catalog.chain(ask.snapshot)[-1])
    candidates = candidates_of(catalog)
    if ask.further:
        candidates = [one for one in candidates if _leads_on(one, known) is not None]
    if ask.to_lsn is not None:
        found, said = before_lsn(candidates, ask.to_lsn), f"LSN {format_lsn(ask.to_lsn)}"
    elif ask.to_time is not None:
        found, said = before_time(candidates, ask.to_time), utc_text(ask.to_time)
    else:
        found, said = newest(candidates), "it"
    if found is None:
        raise Refused(f"no snapshot that counts leads to {said}", hint="failover snapshot list; restore ID names one")
    return found


def _leads_on(one: Candidate, known: _Ways) -> int | None:
    """The newest timeline that WAL leads to from there."""
    for timeline, way in known.items():
        if any(each.timeline == one.timeline and (each.end is None or one.stop <= each.end) for each in way):
            return timeline
    return None


def _further(chosen: Candidate, ask: RestoreAsk, known: _Ways) -> Further:
    timeline = _leads_on(chosen, known)
    if timeline is None:
        raise Refused(f"no WAL was shipped that leads on from {chosen.id}", hint="leave out the target")
    return Further(timeline=timeline, to=ask.to_lsn, moment=ask.to_time)
