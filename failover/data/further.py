"""A restore that goes on after its snapshot, with the WAL that was shipped: to an LSN, or as far as there is any."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import msgspec

from failover.data.catalog import Entry
from failover.data.wal_fetch import WalFetch
from failover.errors import Damaged, Refused
from failover.model.snapshot import WAL_TAIL, Manifest
from failover.model.units import Lsn, format_lsn, parse_lsn, utc_text
from failover.planner.wal import Stretch, stretches
from failover.ports.scratch import Arrival, Scratch
from failover.ports.store import Store
from failover.trust.age import AgeKey

_BEYOND = 16 << 20  # fetched after the target: the record there has to be whole


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """What opens snapshots. ``stores`` in order of preference; ``strict``: only the first, as a verification wants.
    ``seals``: who may have signed shipped WAL."""

    stores: tuple[Store, ...]
    keys: tuple[AgeKey, ...]
    strict: bool = False
    seals: tuple[str, ...] = ()


class Further(msgspec.Struct, frozen=True, kw_only=True):
    """``to``: just before the record there; ``moment``: just before the first transaction that ended after it; neither:
    everything that was shipped. ``timeline``: the newest one the way may lead over."""

    timeline: int
    to: Lsn | None = None
    moment: datetime | None = None


async def ways(
    fleet: str, system_identifier: str, reader: Reader, known: Sequence[int], *, segment_bytes: int, into: Path
) -> dict[int, tuple[Stretch, ...]]:
    """How WAL leads to each of these timelines, in their order; without those whose history no store has. ``into``: a
    folder for the history files."""
    fetch = WalFetch(
        reader.stores,
        reader.keys,
        fleet=fleet,
        system_identifier=system_identifier,
        segment_bytes=segment_bytes,
        into=into,
        seals=reader.seals,
    )
    found = {}
    for timeline in known:
        try:
            found[timeline] = stretches(await fetch.history(timeline), timeline)
        except Damaged:
            continue  # a primary that was cut off before it shipped its history: nothing leads there
    return found


def _fetch(reader: Reader, manifest: Manifest, into: Path) -> WalFetch:
    return WalFetch(
        reader.stores,
        reader.keys,
        fleet=manifest.fleet,
        system_identifier=manifest.system_identifier,
        segment_bytes=manifest.wal_segment_bytes,
        into=into,
        seals=reader.seals,
    )


async def fetch_further(
    entry: Entry, reader: Reader, scratch: Scratch, further: Further, *, into: Path, seed: Path
) -> Arrival:
    """Segments after the snapshot's own WAL (``seed``) into the folder ``into``; where replay has to end: at the
    snapshot's own LSN when nothing was shipped after it. Raises ``Damaged`` when the stores' WAL does not lead there,
    ``Refused`` when no transaction in it ended after the moment that was asked for."""
    manifest = entry.manifest
    await asyncio.to_thread(shutil.rmtree, into, True)
    fetch = _fetch(reader, manifest, into)
    at = manifest.stop
    begins: list[tuple[int, Lsn]] = []
    seed_timeline = manifest.timeline
    way = _way(stretches(await fetch.history(further.timeline), further.timeline), at, further.to)
    for stretch in way:
        begun = max(at, stretch.start)
        begins.append((stretch.timeline, begun))
        end = await fetch.reaches(stretch, begun)
        if stretch.end is not None and end < stretch.end:
            raise Damaged(f"no store has WAL of timeline {stretch.timeline} from {format_lsn(end)}")
        if stretch is way[-1] and further.to is not None:
            if end <= further.to:
                raise Damaged(f"the stores' WAL ends at {format_lsn(end)}, before {format_lsn(further.to)}")
            end = min(end, further.to + _BEYOND)
        await fetch.fetch(stretch, start=begun, end=end, seed=seed, seed_timeline=seed_timeline)
        if further.moment is not None:
            after = await asyncio.to_thread(
                scratch.first_end_after, into, timeline=stretch.timeline, start=begun, moment=further.moment
            )
            if after:
                return Arrival(where="before", lsn=after, timeline=stretch.timeline)
        at, seed, seed_timeline = end, into, stretch.timeline
    timeline = way[-1].timeline
    if further.moment is not None:
        raise Refused(
            f"no transaction ended after {utc_text(further.moment)} in what was shipped, up to {format_lsn(at)}",
            hint="--latest restores all of it",
        )
    if further.to is not None:
        return Arrival(where="before", lsn=further.to, timeline=timeline)
    own = own_arrival(entry)
    # A new primary may have shipped nothing yet, and an idle one ships nothing at all.
    for reached, start in reversed(begins):
        last = await asyncio.to_thread(scratch.last_record, into, timeline=reached, start=start)
        if last > own.lsn:
            return Arrival(where="after", lsn=last, timeline=reached)
    return own


def own_arrival(entry: Entry) -> Arrival:
    """Where a restore of this snapshot alone arrives."""
    manifest = entry.manifest
    exact = bool(manifest.digests) and manifest.object(WAL_TAIL) is not None
    return Arrival(where="before" if exact else "consistent", lsn=parse_lsn(manifest.lsn))


def _way(way: tuple[Stretch, ...], start: Lsn, to: Lsn | None) -> list[Stretch]:
    """The part that leads from ``start`` to ``to``; its last stretch is open."""
    found = [each for each in way if (each.end is None or each.end > start) and (to is None or each.start <= to)]
    if not found or (to is not None and to < start):
        raise Damaged(f"a restore from {format_lsn(start)} leads to no earlier LSN", hint="take an older snapshot")
    found[-1] = msgspec.structs.replace(found[-1], end=None)
    return found
