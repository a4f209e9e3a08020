"""Ships WAL as it is written: a chunk each second or 4 MB, squeezed and encrypted once, to every store; acknowledged to
PostgreSQL when two providers hold it, so that the slot keeps what only one has.

Runs at the primary. A store that is slow or silent is left out until it answers; what it missed is copied later
(``wal_level``). What only the housekeeping of an idle server wrote waits for company, for a minute at most.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from failover.data.squeeze import squeeze_bytes
from failover.data.wal_lanes import Lanes
from failover.data.wal_listing import resume_at
from failover.data.wal_seal import wal_note
from failover.errors import Refused
from failover.model.snapshot import WalChunk, history_name, wal_prefix
from failover.model.units import Lsn
from failover.planner.wal import stretches
from failover.planner.wal_records import nothing_of_anybodys
from failover.ports.snapshot_source import EndOfTimeline, SnapshotSource, WalPiece, WalStream
from failover.ports.store import Store
from failover.trust.age import check_recipients
from failover.trust.seal import SealKey

_STATUS_S = 1.0
_LOOK_S = 0.1
_QUIET_S = 60.0
_QUIET_BYTES = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipping:
    """What is shipped how. ``slot`` is no member's name. ``seal``: with what the host signs it; a restore of a fleet
    whose hosts have such keys takes nothing else."""

    fleet: str
    recipients: tuple[str, ...]
    stores: tuple[Store, ...]
    slot: str
    interval_s: float = 1.0
    max_bytes: int = 4 << 20
    seal: SealKey | None = None


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """How far it is: everything before ``acknowledged`` is with two providers. ``exposed_bytes`` and ``exposed_s``: the
    size and the age of what is not (``None``: not known yet); both 0 when that is nobody's (``planner/wal_records``).
    ``lost``: WAL between what was shipped before and what is shipped now is nowhere, so a snapshot has to be taken at
    once. ``failed``: stores that do not have the last chunk, and why."""

    timeline: int
    acknowledged: Lsn
    exposed_bytes: int = 0
    exposed_s: float | None = 0.0
    lost: bool = False
    failed: dict[str, str] = {}


Report = Callable[[Shipped], None]


async def ship(source: SnapshotSource, shipping: Shipping, *, stop: asyncio.Event, report: Report) -> None:
    """Until ``stop`` is set: returns within a fraction of a second, acknowledging nothing more (safety D1). Reports
    when it begins, while something is exposed, and after each chunk.

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
    lanes = Lanes(shipping.stores)
    try:
        exposed = _beginning(facts.timeline, kept, facts.position)
        if history and not await _send_history(
            history, facts.system_identifier, shipping, lanes, exposed, stop, report
        ):
            return
        way = stretches(history, facts.timeline)
        timeline, start, gap = await resume_at(shipping.stores, shipping.fleet, facts.system_identifier, way, kept)
        begin = _beginning(timeline, start, facts.position, lost=lost or gap)
        while not stop.is_set():
            leg = _Leg(source, shipping, lanes, facts.system_identifier, begin, report)
            try:
                await leg.run(stop)
            except EndOfTimeline as end:
                begin = _beginning(end.timeline, end.at, facts.position)
    finally:
        await lanes.close()


def _beginning(timeline: int, acknowledged: Lsn, position: Lsn, *, lost: bool = False) -> Shipped:
    exposed = max(0, position - acknowledged)
    return Shipped(
        timeline=timeline,
        acknowledged=acknowledged,
        exposed_bytes=exposed,
        exposed_s=None if exposed else 0.0,
        lost=lost,
    )


async def _send_history(
    history: bytes,
    system_identifier: str,
    shipping: Shipping,
    lanes: Lanes,
    exposed: Shipped,
    stop: asyncio.Event,
    report: Report,
) -> bool:
    """Before anything of its timeline: without it nobody finds the way there. False: stopped before."""
    key = wal_prefix(shipping.fleet, system_identifier, exposed.timeline) + history_name(exposed.timeline)
    body = _packed(history, key, shipping)
    sending = asyncio.ensure_future(lanes.send(key, body, stop))
    try:
        while not (await asyncio.wait([sending], timeout=_STATUS_S))[0]:
            report(msgspec.structs.replace(exposed, failed=lanes.errors))
        return await sending is not None
    finally:
        sending.cancel()


class _Leg:
    """One timeline's stream. Gathers what comes and hands it on when it is due."""

    def __init__(
        self,
        source: SnapshotSource,
        shipping: Shipping,
        lanes: Lanes,
        system_identifier: str,
        begin: Shipped,
        report: Report,
    ) -> None:
        self._source = source
        self._shipping = shipping
        self._lanes = lanes
        self._prefix = wal_prefix(shipping.fleet, system_identifier, begin.timeline)
        self._last = begin
        self._report = report
        self._held: list[WalPiece] = []
        self._size = 0
        self._first_s = self._looked_s = time.monotonic()
        # The last instant at which nothing was exposed, as far as it is known.
        self._covered_s = None if begin.exposed_bytes else self._looked_s
        self._server_end = begin.acknowledged + begin.exposed_bytes

    async def run(self, stop: asyncio.Event) -> None:
        """Raises ``EndOfTimeline`` once everything up to it is acknowledged."""
        safe = self._last.acknowledged
        stream = await asyncio.to_thread(
            self._source.wal, timeline=self._last.timeline, start=safe, slot=self._shipping.slot
        )
        try:
            await asyncio.to_thread(stream.acknowledge, safe)
            self._report(self._last)
            # Said once: from here on it is what was reported that counts.
            self._last = msgspec.structs.replace(self._last, lost=False)
            while not stop.is_set():
                ended = await self._receive(stream)
                if (self._due() or (ended is not None and self._held)) and not await self._send(stream, stop):
                    return
                if ended is not None:
                    raise ended
        finally:
            await asyncio.to_thread(stream.close)

    async def _receive(self, stream: WalStream) -> EndOfTimeline | None:
        """What comes in the next moment."""
        room, wait_s = max(1, self._shipping.max_bytes - self._size), min(_LOOK_S, self._shipping.interval_s)
        try:
            piece = await asyncio.to_thread(stream.receive, max_bytes=room, max_wait_s=wait_s)
        except EndOfTimeline as end:
            return end
        now_s = time.monotonic()
        if piece is not None:
            self._first_s = self._first_s if self._held else now_s
            self._held.append(piece)
            self._size += len(piece.data)
            self._server_end = piece.server_end
        self._say(looked_s=now_s)
        return None

    def _due(self) -> bool:
        if not self._held:
            return False
        if self._size >= self._shipping.max_bytes:
            return True
        if self._quiet():
            return time.monotonic() - self._first_s >= _QUIET_S
        return time.monotonic() - (self._covered_s or self._first_s) >= self._shipping.interval_s

    def _quiet(self) -> bool:
        """Nothing of anybody's is held."""
        if self._size > _QUIET_BYTES:
            return False
        return not self._held or nothing_of_anybodys(self._held[0].start, b"".join(each.data for each in self._held))

    def _say(self, *, looked_s: float, failed: dict[str, str] | None = None) -> None:
        """``looked_s``: everything that was written before is held, or acknowledged."""
        safe = self._last.acknowledged
        end = max(self._server_end, safe + self._size)
        covered = end == safe + self._size and self._quiet()
        if covered:
            self._covered_s = looked_s
        age_s = None if self._covered_s is None else round(time.monotonic() - self._covered_s, 3)
        self._looked_s = looked_s
        self._last = msgspec.structs.replace(
            self._last,
            exposed_bytes=0 if covered else end - safe,
            exposed_s=0.0 if covered else age_s,
            failed=self._last.failed if failed is None else dict(failed),
        )
        self._report(self._last)

    async def _send(self, stream: WalStream, stop: asyncio.Event) -> bool:
        """False: stopped before two providers had it."""
        start, data = self._held[0].start, b"".join(piece.data for piece in self._held)
        chunk = WalChunk(timeline=self._last.timeline, start=start, end=start + len(data))
        sending = asyncio.ensure_future(self._put(chunk, data, stop))
        try:
            # The server hangs up on whoever says nothing for 5 s, and a store may take longer.
            while not (await asyncio.wait([sending], timeout=_STATUS_S))[0]:
                await asyncio.to_thread(stream.acknowledge, self._last.acknowledged)
                self._say(looked_s=self._looked_s, failed=self._lanes.errors)
            failed = await sending
        finally:
            sending.cancel()
        if failed is None:
            return False
        self._held, self._size, self._covered_s = [], 0, self._looked_s
        self._last = msgspec.structs.replace(self._last, acknowledged=chunk.end)
        await asyncio.to_thread(stream.acknowledge, chunk.end)
        self._say(looked_s=self._looked_s, failed=failed)
        return True

    async def _put(self, chunk: WalChunk, data: bytes, stop: asyncio.Event) -> dict[str, str] | None:
        key = self._prefix + chunk.name
        return await self._lanes.send(key, await asyncio.to_thread(_packed, data, key, self._shipping), stop)


def _packed(data: bytes, key: str, shipping: Shipping) -> bytes:
    note = wal_note(shipping.seal, key=key, data=data) if shipping.seal is not None else b""
    return squeeze_bytes(data, name=key, recipients=shipping.recipients, note=note)[1]
