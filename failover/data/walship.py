"""Ships WAL as it is written: a chunk each second or 4 MB, squeezed and encrypted once, to every store; acknowledged to
PostgreSQL when two providers hold it, so that the slot keeps what only one has.

Runs at the primary. A store that is slow or silent is left out until it answers; what it missed is copied later.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from failover.data.small import put_small
from failover.data.squeeze import squeeze_bytes
from failover.errors import FailoverError, Refused
from failover.model.snapshot import QUORUM, WalChunk, history_name, parse_chunk, wal_prefix
from failover.model.units import Lsn
from failover.planner.wal import counted, reach, stretches, timeline_at
from failover.ports.snapshot_source import EndOfTimeline, SnapshotSource, WalPiece
from failover.ports.store import Store
from failover.trust.age import check_recipients

_STALL_S = 20.0
_RETRY_S = 0.5
_STATUS_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipping:
    """What is shipped how. ``slot`` is no member's name."""

    fleet: str
    recipients: tuple[str, ...]
    stores: tuple[Store, ...]
    slot: str
    interval_s: float = 1.0
    max_bytes: int = 4 << 20


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """After each chunk: everything before ``acknowledged`` is with two providers; the server's WAL went to
    ``server_end``. ``lost``: the slot had been dropped or overrun, so what is before may be missing and a snapshot has
    to be taken at once. ``failed``: stores that do not have the chunk."""

    timeline: int
    acknowledged: Lsn
    server_end: Lsn
    lost: bool = False
    failed: dict[str, str] = {}

    @property
    def exposed_bytes(self) -> int:
        """WAL that is not with two providers yet."""
        return max(0, self.server_end - self.acknowledged)


async def ship(
    source: SnapshotSource, shipping: Shipping, *, stop: asyncio.Event, report: Callable[[Shipped], None]
) -> None:
    """Until ``stop`` is set: returns within one interval, acknowledging nothing more (safety D1).

    Raises ``Unreachable`` when the server is gone, ``Refused`` at a standby; call it again then."""
    check_recipients(shipping.recipients)
    facts = await asyncio.to_thread(source.facts)
    if facts.recovering:
        raise Refused("WAL is shipped from the primary, and this is a standby")
    kept = await asyncio.to_thread(source.ensure_slot, shipping.slot)
    lost = kept is None
    if kept is None:
        await asyncio.to_thread(source.drop_slot, shipping.slot)
        kept = await asyncio.to_thread(source.ensure_slot, shipping.slot) or facts.position
    history = await asyncio.to_thread(source.history, facts.timeline)
    lanes = _Lanes(shipping)
    if history:
        _, body = squeeze_bytes(history, name=history_name(facts.timeline), recipients=shipping.recipients)
        prefix = wal_prefix(shipping.fleet, facts.system_identifier, facts.timeline)
        await lanes.send(prefix + history_name(facts.timeline), body, stop)
    way = stretches(history, facts.timeline)
    timeline = timeline_at(way, kept)
    start = await resume_at(shipping, facts.system_identifier, timeline, kept)
    # A primary that is gone may have shipped more of its timeline than its successor took over.
    left_at = next((each.end for each in way if each.timeline == timeline), None)
    start = start if left_at is None else min(start, left_at)
    while not stop.is_set():
        try:
            await _ship_timeline(source, shipping, lanes, facts.system_identifier, timeline, start, lost, stop, report)
        except EndOfTimeline as end:
            timeline, start = end.timeline, end.at
    await lanes.close()


async def resume_at(shipping: Shipping, system_identifier: str, timeline: int, kept: Lsn) -> Lsn:
    """Where to go on: as far as two providers' chunks lead from what the slot still keeps. Stores that do not answer
    count for nothing: then more is sent again than was needed."""
    held = await held_chunks(shipping.stores, shipping.fleet, system_identifier, timeline)
    providers: dict[str, set[WalChunk]] = {}
    for store in shipping.stores:
        providers.setdefault(store.traits.provider, set()).update(held.get(store.name, ()))
    return reach(counted(providers), kept)


async def held_chunks(
    stores: tuple[Store, ...], fleet: str, system_identifier: str, timeline: int
) -> Mapping[str, frozenset[WalChunk]]:
    """By store; without those that do not answer."""
    prefix = wal_prefix(fleet, system_identifier, timeline)

    async def listing(store: Store) -> frozenset[WalChunk] | None:
        try:
            listed = store.list(prefix, stall_s=_STALL_S)
            found = [parse_chunk(each.key.removeprefix(prefix), timeline) async for each in listed]
        except FailoverError:
            return None  # the answer: this store counts for nothing now
        return frozenset(chunk for chunk in found if chunk is not None)

    answers = await asyncio.gather(*(listing(store) for store in stores))
    return {store.name: chunks for store, chunks in zip(stores, answers, strict=True) if chunks is not None}


async def _ship_timeline(
    source: SnapshotSource,
    shipping: Shipping,
    lanes: _Lanes,
    system_identifier: str,
    timeline: int,
    start: Lsn,
    lost: bool,
    stop: asyncio.Event,
    report: Callable[[Shipped], None],
) -> None:
    stream = await asyncio.to_thread(source.wal, timeline=timeline, start=start, slot=shipping.slot)
    try:
        safe = start
        await asyncio.to_thread(stream.acknowledge, safe)
        report(Shipped(timeline=timeline, acknowledged=start, server_end=start, lost=lost))
        while not stop.is_set():
            piece = await asyncio.to_thread(
                stream.receive, max_bytes=shipping.max_bytes, max_wait_s=shipping.interval_s
            )
            if piece is None:
                continue
            sending = asyncio.ensure_future(_send(lanes, shipping, system_identifier, timeline, piece, stop))
            try:
                # The server hangs up on whoever says nothing for 5 s, and a store may take longer.
                while not (await asyncio.wait([sending], timeout=_STATUS_S))[0]:
                    await asyncio.to_thread(stream.acknowledge, safe)
                failed = await sending
            finally:
                sending.cancel()
            if failed is None:
                return
            safe = piece.end
            await asyncio.to_thread(stream.acknowledge, safe)
            report(Shipped(timeline=timeline, acknowledged=piece.end, server_end=piece.server_end, failed=failed))
    finally:
        await asyncio.to_thread(stream.close)


async def _send(
    lanes: _Lanes,
    shipping: Shipping,
    system_identifier: str,
    timeline: int,
    piece: WalPiece,
    stop: asyncio.Event,
) -> dict[str, str] | None:
    chunk = WalChunk(timeline=timeline, start=piece.start, end=piece.end)
    _, body = await asyncio.to_thread(squeeze_bytes, piece.data, name=chunk.name, recipients=shipping.recipients)
    return await lanes.send(wal_prefix(shipping.fleet, system_identifier, timeline) + chunk.name, body, stop)


class _Lanes:
    """One upload at a time to each store; a store still busy with an earlier one misses the next."""

    def __init__(self, shipping: Shipping) -> None:
        self._stores = shipping.stores
        self._busy: dict[str, asyncio.Task[FailoverError | None]] = {}

    async def send(self, key: str, body: bytes, stop: asyncio.Event) -> dict[str, str] | None:
        """Returns as soon as two providers have it, with the stores that do not; tries for ever until then. ``None``:
        stopped before."""
        done: set[str] = set()
        errors: dict[str, str] = {}
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        try:
            return await self._until_enough(key, body, done, errors, stopped)
        finally:
            stopped.cancel()

    async def _until_enough(
        self, key: str, body: bytes, done: set[str], errors: dict[str, str], stopped: asyncio.Future[Any]
    ) -> dict[str, str] | None:
        while True:
            sending = self._begin(key, body, done)
            while sending and not self._enough(done) and not stopped.done():
                waiting: list[asyncio.Future[Any]] = [*sending.values(), stopped]
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for name, task in [(name, task) for name, task in sending.items() if task.done()]:
                    del sending[name]
                    error = task.result()
                    if error is None:
                        done.add(name)
                        errors.pop(name, None)
                    else:
                        errors[name] = str(error)
            if self._enough(done):
                return {store.name: errors.get(store.name, "busy") for store in self._stores if store.name not in done}
            if stopped.done():
                return None
            await asyncio.wait([stopped], timeout=_RETRY_S)

    def _begin(self, key: str, body: bytes, done: set[str]) -> dict[str, asyncio.Task[FailoverError | None]]:
        free = [store for store in self._stores if store.name not in self._busy or self._busy[store.name].done()]
        started = {
            store.name: asyncio.ensure_future(put_small(store, key, body)) for store in free if store.name not in done
        }
        self._busy |= started
        return dict(started)

    def _enough(self, done: set[str]) -> bool:
        return len({store.traits.provider for store in self._stores if store.name in done}) >= QUORUM

    async def close(self) -> None:
        """Gives up what is still on its way."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
