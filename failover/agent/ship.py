"""The WAL shipper of one host: a process of its own beside the agent, which takes orders on its stdin and says how far
it is on its stdout, one JSON line each.

A process, because compressing and encrypting in the agent's would hold the keeper up just when the machine is busy, and
because a commit may wait for a keeper but never for a shipper. It ends with its agent: then its stdin does. What must
never be here: deciding when to ship (``planner/wal``), and any name of a member (safety B1).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from failover.data.wal_level import level, snapshot_since
from failover.data.walship import Shipped, Shipping, ship
from failover.errors import FailoverError
from failover.model.observation import ShippingFacts, StoreBehind
from failover.model.units import Lsn, format_lsn, utc_text
from failover.planner.wal import KEEP, REST, SHIP, ShipOrder
from failover.ports.snapshot_source import SnapshotSource

_AGAIN_S = 1.0
_KEEP_EVERY_S = 2.0
_SAY_EVERY_S = 0.2
_LEVEL_EVERY_S = 5.0
_LEVEL_SELDOM_S = 60.0
_STOP_S = 2.0
_BEFORE_BYTES = 64 << 20
_CATCHES_UP = "it catches up"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Kept on disk while a snapshot is wanted because WAL was lost."""

    since: datetime
    why: str


class Shipper:
    """Does one duty at a time, as ordered last. ``say`` is called with every news."""

    def __init__(
        self, source: SnapshotSource, shipping: Shipping, *, wanted_file: Path, say: Callable[[ShippingFacts], None]
    ) -> None:
        self._source = source
        self._shipping = shipping
        self._wanted_file = wanted_file
        self._say = say
        self._order = ShipOrder(duty=REST, why="no order yet")
        self._stop = asyncio.Event()
        wanted = self._wanted()
        self._facts = ShippingFacts(
            duty=REST, slot=shipping.slot,
            snapshot_wanted=f"{wanted.why} ({utc_text(wanted.since)})" if wanted is not None else "",
        )  # fmt: skip
        self._said_s = 0.0
        self._covered_s = time.monotonic()
        self._behind: dict[str, Lsn] = {}  # from where on a store may lack something

    async def run(self, orders: AsyncIterator[ShipOrder]) -> None:
        """Until there are no more orders."""
        working: asyncio.Task[None] | None = None
        try:
            async for order in orders:
                turned = order.duty != self._order.duty
                self._order = order
                if not turned:
                    continue
                await self._end(working)
                self._stop = asyncio.Event()
                self._tell(msgspec.structs.replace(self._facts, duty=order.duty, error=""))
                work = {SHIP: self._ship, KEEP: self._keep}.get(order.duty)
                working = asyncio.create_task(work(self._stop), name=order.duty) if work is not None else None
        finally:
            await self._end(working)

    async def _end(self, working: asyncio.Task[None] | None) -> None:
        if working is None:
            return
        self._stop.set()
        done, _ = await asyncio.wait([working], timeout=_STOP_S)
        if not done:
            working.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await working

    def _tell(self, facts: ShippingFacts, *, soon: bool = True) -> None:
        """Not ``soon``: what only grew older waits for its turn."""
        now_s = time.monotonic()
        self._facts = facts
        if soon or now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            self._say(facts)

    async def _pause(self, stop: asyncio.Event, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), seconds)

    # --- at a standby ----------------------------------------------------------------------------------------------

    async def _keep(self, stop: asyncio.Event) -> None:
        """The slot holds what two providers do not have, so that shipping goes on here without a gap after a move."""
        slot = self._shipping.slot
        while not stop.is_set():
            try:
                if await asyncio.to_thread(self._source.ensure_slot, slot) is None:
                    # It was overrun: whoever ships from here finds the gap, and says so.
                    await asyncio.to_thread(self._source.drop_slot, slot)
                    continue
                await asyncio.to_thread(self._source.advance_slot, slot, self._order.safe)
                facts = msgspec.structs.replace(
                    self._facts, acknowledged_lsn=self._order.safe, error="", exposure_bytes=None, exposure_s=None,
                    behind=(),
                )  # fmt: skip
            except FailoverError as error:
                facts = msgspec.structs.replace(self._facts, error=str(error))
            self._tell(facts)
            await self._pause(stop, _KEEP_EVERY_S)

    # --- at the primary --------------------------------------------------------------------------------------------

    async def _ship(self, stop: asyncio.Event) -> None:
        # How old what the primary before left is cannot be known here; it counts from now on.
        self._covered_s = time.monotonic()
        levelling = asyncio.create_task(self._keep_level(stop), name="level")
        try:
            while not stop.is_set():
                try:
                    await ship(self._source, self._shipping, stop=stop, report=self._shipped)
                except FailoverError as error:
                    # Nobody looks meanwhile: everything that was written since counts.
                    age_s = round(time.monotonic() - self._covered_s, 3)
                    self._tell(msgspec.structs.replace(self._facts, error=str(error), exposure_s=age_s))
                    await self._pause(stop, _AGAIN_S)
        finally:
            levelling.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await levelling

    def _shipped(self, shipped: Shipped) -> None:
        now_s = time.monotonic()
        if shipped.exposed_s is not None:
            self._covered_s = max(self._covered_s, now_s - shipped.exposed_s)
        if shipped.lost:
            self._want(f"WAL before {format_lsn(shipped.acknowledged)} was lost before two stores had it")
        for name in shipped.failed.keys() - self._behind.keys():
            self._behind[name] = shipped.acknowledged
        before = self._facts
        facts = msgspec.structs.replace(
            before,
            acknowledged_lsn=shipped.acknowledged,
            exposure_bytes=shipped.exposed_bytes,
            exposure_s=round(now_s - self._covered_s, 3) if shipped.exposed_bytes else 0.0,
            timeline=shipped.timeline,
            error="",
            behind=_told_of({name: shipped.failed.get(name, _CATCHES_UP) for name in self._behind}),
        )
        news = _told_at_once(facts) != _told_at_once(before)
        self._tell(facts, soon=news)

    async def _keep_level(self, stop: asyncio.Event) -> None:
        """A store that missed something gets it from the others, once it answers again; all of them are compared
        when shipping begins. And a wanted snapshot is looked for."""
        compared, pause_s = False, _LEVEL_EVERY_S
        while not stop.is_set():
            await self._pause(stop, pause_s)
            behind, timeline = dict(self._behind), self._facts.timeline
            if stop.is_set() or not timeline or (compared and not behind and not self._facts.snapshot_wanted):
                continue
            identifier = await self._system_identifier()
            if not identifier:
                continue
            failed: dict[str, str] = {}
            if behind or not compared:
                since = min(behind.values()) if compared else 0
                failed = await level(
                    self._shipping.stores, fleet=self._shipping.fleet, system_identifier=identifier,
                    timelines=range(1, timeline + 1), since=max(0, since - _BEFORE_BYTES),
                )  # fmt: skip
                compared = compared or not failed
                self._levelled(behind, failed)
            pause_s = min(2 * pause_s, _LEVEL_SELDOM_S) if failed else _LEVEL_EVERY_S
            if self._facts.snapshot_wanted:
                await self._look_for_snapshot(identifier)

    def _levelled(self, asked: dict[str, Lsn], failed: dict[str, str]) -> None:
        """Whoever did not fail is level; what failed is told, also where nothing was sent to since."""
        newer = {name: at for name, at in self._behind.items() if name not in asked}
        self._behind = {name: asked.get(name, 0) for name in failed} | newer
        before = {one.store: one.why for one in self._facts.behind}
        told = {name: failed.get(name) or before.get(name, _CATCHES_UP) for name in self._behind}
        self._tell(msgspec.structs.replace(self._facts, behind=_told_of(told)))

    async def _system_identifier(self) -> str:
        try:
            return (await asyncio.to_thread(self._source.facts)).system_identifier
        except FailoverError:
            return ""  # said by the shipping itself

    # --- what was lost ---------------------------------------------------------------------------------------------

    def _wanted(self) -> Wanted | None:
        return msgspec.json.decode(self._wanted_file.read_bytes(), type=Wanted) if self._wanted_file.exists() else None

    def _want(self, why: str) -> None:
        since = datetime.now(UTC)
        temporary = self._wanted_file.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(Wanted(since=since, why=why)))
        temporary.replace(self._wanted_file)
        self._facts = msgspec.structs.replace(self._facts, snapshot_wanted=f"{why} ({utc_text(since)})")

    async def _look_for_snapshot(self, identifier: str) -> None:
        wanted = self._wanted()
        if wanted is None or await snapshot_since(
            self._shipping.stores, fleet=self._shipping.fleet, system_identifier=identifier, after=wanted.since
        ):
            self._wanted_file.unlink(missing_ok=True)
            self._tell(msgspec.structs.replace(self._facts, snapshot_wanted=""))


def _told_of(behind: dict[str, str]) -> tuple[StoreBehind, ...]:
    return tuple(StoreBehind(store=name, why=why) for name, why in sorted(behind.items()))


def _told_at_once(facts: ShippingFacts) -> tuple[object, ...]:
    """What only grew older can wait."""
    return (
        facts.acknowledged_lsn, facts.timeline, facts.error, facts.behind, bool(facts.exposure_bytes),
        facts.snapshot_wanted,
    )  # fmt: skip
