"""The agent's end of the WAL shipper: keeps its process alive, orders what ``planner/wal`` decides, shows what it says.

What must never be here: a wait of the keeper's for anything of the shipper but its death.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import msgspec

from failover import kernel
from failover.agent.view import HostView, boot_s
from failover.model.observation import ShippingFacts
from failover.planner.wal import KEEP, REST, SHIP, SHIPPER_PID, ShipFacts, ShipOrder, exposure_now, ship_order
from failover.ports.database import Database

log = logging.getLogger("failover.ship")
_LOOK_S = 0.1
_AGAIN_S = 1.0
_SAY_SAFE_EVERY_S = 2.0
_END_S = 0.5
_REST_S = 1.0
_LINE_BYTES = 1 << 20
_NICE = 5
"""Behind everything that serves, before what nobody waits for."""


class ShipLoop:
    """Runs until cancelled. ``command`` starts the shipper."""

    def __init__(self, view: HostView, command: Sequence[str], *, log_file: Path) -> None:
        self._view = view
        self._command = tuple(command)
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None
        self._told = ShipOrder(duty=REST, why="")
        self._told_s = 0.0
        self._primary_since_s: float | None = None
        self._said: ShippingFacts | None = None
        self._said_s = 0.0
        self._barred = False

    async def run(self) -> None:
        """Keep it."""
        try:
            while True:
                try:
                    await self._live()
                except OSError as error:
                    self._view.trouble["shipper"] = f"the WAL shipper does not start: {error}"
                await asyncio.sleep(_AGAIN_S)
        finally:
            self._kill()

    async def _live(self) -> None:
        """One life of the process."""
        self._log_file.parent.mkdir(parents=True, exist_ok=True)
        # The agent's urgency is for the keeper.
        with self._log_file.open("ab") as errors, kernel.calm_children():
            process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=errors,
                limit=_LINE_BYTES, env={**os.environ, "FAILOVER_HOST_DIR": str(self._view.host_dir)},
                start_new_session=True,
            )  # fmt: skip
        self._process = process
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, _NICE)
        (self._view.host_dir / SHIPPER_PID).write_text(f"{process.pid}\n")
        self._told = ShipOrder(duty=REST, why="")
        reading = asyncio.create_task(self._read(process), name="shipper's words")
        try:
            while not reading.done():
                self._order(process)
                await asyncio.wait([reading], timeout=_LOOK_S)
            reading.result()
            status = await process.wait()
            if not self._barred and self._told.duty != REST:
                self._view.trouble["shipper"] = f"the WAL shipper ended ({status}), started again: {self._log_file}"
        finally:
            reading.cancel()
            self._kill()
            await process.wait()
            self._process = None
            if self._said is not None:
                self._said = msgspec.structs.replace(self._said, duty=REST)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            self._said, self._said_s = msgspec.json.decode(line, type=ShippingFacts), boot_s()
            self._view.trouble.pop("shipper", None)

    def _order(self, process: asyncio.subprocess.Process) -> None:
        """Said again only when the duty turned, or the slot may be let go further."""
        order, said = self._decide(), self._said
        if said is not None and said.duty == SHIP != self._told.duty and boot_s() - self._told_s > _REST_S:
            self._kill()  # asked to rest a second ago (safety D1)
        due = order.duty == KEEP and order.safe > self._told.safe and boot_s() - self._told_s >= _SAY_SAFE_EVERY_S
        if order.duty == self._told.duty and not due:
            return
        if order.duty != self._told.duty:
            log.warning("%s: %s", order.duty, order.why)
        self._told, self._told_s = order, boot_s()
        assert process.stdin is not None
        with contextlib.suppress(ConnectionError):  # it ended, which is found by reading
            process.stdin.write(msgspec.json.encode(order) + b"\n")

    def _decide(self) -> ShipOrder:
        view = self._view
        record, database = view.record, view.database
        if self._barred:
            # Until PostgreSQL is seen down, or the move is over.
            self._barred = database.state == "primary" and record is not None and record.move is not None
        mine = record is not None and database.state == "primary" and database.member == record.primary
        self._primary_since_s = (self._primary_since_s or boot_s()) if mine else None
        order = ship_order(
            ShipFacts(
                record=record,
                db=database,
                serving=view.serving,
                move_age_s=boot_s() - view.move_seen[1],
                primary_s=0.0 if self._primary_since_s is None else boot_s() - self._primary_since_s,
                shipping=self._told.duty == SHIP,
                acknowledged=self._acknowledged_at_primary(),
            )
        )
        return ShipOrder(duty=REST, why="PostgreSQL is being stopped") if self._barred else order

    def _acknowledged_at_primary(self) -> int:
        """As its agent told it last, however long ago: it never goes back."""
        record = self._view.record
        peer = self._view.peers.get(record.primary_site) if record is not None else None
        shipping = peer.state.shipping if peer is not None and peer.state is not None else None
        return shipping.acknowledged_lsn if shipping is not None and shipping.duty == SHIP else 0

    async def hang_up(self) -> None:
        """Before PostgreSQL is stopped: nothing of the shipper's is connected when this returns (safety D1). It is
        killed when it did not rest already; what it has not been told to be safe is sent again."""
        said = self._said
        self._barred = True
        process = self._process
        if process is None or (said is not None and said.duty != SHIP and self._told.duty != SHIP):
            return
        self._kill()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), _END_S)

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def facts(self) -> ShippingFacts | None:
        """What it said last, as it is now."""
        if self._said is None:
            return None
        return exposure_now(self._said, age_s=boot_s() - self._said_s, position=self._view.database.position)


def hung_up_before(database: Database, hang_up: Callable[[], Awaitable[None]]) -> Database:
    """``database``, which calls ``hang_up`` before it is stopped and before strangers are sent away: a stop waits for
    whoever streams."""
    return cast(Database, _Quieted(database, hang_up))


class _Quieted:
    """Passes everything else on."""

    def __init__(self, inner: Database, hang_up: Callable[[], Awaitable[None]]) -> None:
        self._inner = inner
        self._hang_up = hang_up

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def stop(self, *, clean: bool, budget_s: float) -> bool:
        await self._hang_up()
        return await self._inner.stop(clean=clean, budget_s=budget_s)

    async def end_strangers(self, members: Sequence[str]) -> None:
        await self._hang_up()
        await self._inner.end_strangers(members)
