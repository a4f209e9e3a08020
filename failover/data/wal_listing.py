"""Which chunks of shipped WAL each store holds, read from listings alone; and where to go on from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from failover.data.ask import ask_all
from failover.errors import Unreachable
from failover.model.snapshot import WalChunk, fleet_prefix, parse_chunk, wal_prefix
from failover.model.units import Lsn
from failover.planner.wal import Stretch, counted, gap_before, reach, timeline_at
from failover.ports.store import Store

_STALL_S = 20.0
_NEAR_BYTES = 64 << 20
"""More than any chunk holds: one that covers a byte begins at most so far before it."""


async def held_chunks(
    stores: Sequence[Store],
    fleet: str,
    system_identifier: str,
    timeline: int,
    *,
    since: Lsn = 0,
    most: int | None = None,
) -> Mapping[str, frozenset[WalChunk]]:
    """By store, those that begin at ``since`` or later, the first ``most`` of them; without the stores that do not
    answer."""
    prefix = wal_prefix(fleet, system_identifier, timeline)

    async def listing(store: Store) -> frozenset[WalChunk]:
        after = f"{prefix}{since - 1:016X}" if since else ""
        found: set[WalChunk] = set()
        async for each in store.list(prefix, stall_s=_STALL_S, start_after=after):
            chunk = parse_chunk(each.key.removeprefix(prefix), timeline)
            if chunk is not None and chunk.start >= since:
                found.add(chunk)
            if most is not None and len(found) >= most:
                break
        return frozenset(found)

    return (await ask_all(stores, listing))[0]


async def chunks_near(
    stores: Sequence[Store], fleet: str, system_identifier: str, timeline: int, lsn: Lsn
) -> Mapping[str, frozenset[WalChunk]]:
    """Those that may cover ``lsn``, and all that come after. A year of shipping is not listed for that."""
    since = max(0, lsn - _NEAR_BYTES)
    return await held_chunks(stores, fleet, system_identifier, timeline, since=since)


async def anything_before(stores: Sequence[Store], fleet: str, system_identifier: str, lsn: Lsn) -> bool:
    """Any store holds a chunk, of whatever timeline, that ends before ``lsn``."""
    prefix = f"{fleet_prefix(fleet, system_identifier)}wal/"

    async def first(store: Store) -> bool:
        async for each in store.list(prefix, stall_s=_STALL_S):
            timeline, slash, name = each.key.removeprefix(prefix).partition("/")
            chunk = parse_chunk(name, int(timeline, 16)) if slash else None
            if chunk is not None:
                return chunk.end <= lsn
        return False

    return any((await ask_all(stores, first))[0].values())


async def resume_at(
    stores: Sequence[Store], fleet: str, system_identifier: str, way: tuple[Stretch, ...], kept: Lsn
) -> tuple[int, Lsn, bool]:
    """Timeline and byte to go on at: as far as two providers' chunks lead from what the slot still keeps; and whether
    what came before is missing. Stores that do not answer count for nothing: then more is sent again than was needed.
    Raises ``Unreachable`` when none answers."""
    timeline = timeline_at(way, kept)
    held = await chunks_near(stores, fleet, system_identifier, timeline, kept)
    if not held:
        raise Unreachable("no store answers", hint="failover check")
    providers: dict[str, set[WalChunk]] = {}
    for store in stores:
        providers.setdefault(store.traits.provider, set()).update(held.get(store.name, ()))
    start = reach(counted(providers), kept)
    # A primary that is gone may have shipped more of its timeline than its successor took over.
    left_at = next((each.end for each in way if each.timeline == timeline), None)
    start = start if left_at is None else min(start, left_at)
    # Where a timeline was left, its last chunk leads up to the first byte of the next.
    before = next((each.timeline for each in way if each.end == kept), None)
    earlier = held if before is None else await chunks_near(stores, fleet, system_identifier, before, kept)
    found = frozenset().union(*held.values(), *earlier.values())
    older = await anything_before(stores, fleet, system_identifier, kept)
    return timeline, start, gap_before(found, kept, any_before=older)
