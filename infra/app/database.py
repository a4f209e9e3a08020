"""The one way to PostgreSQL: gate, then a connection to the primary, then one statement, believed or tried again.

Rules: one statement is one transaction; every statement may be repeated (idempotency.py sees to the writes); a task is
never cancelled while it awaits PostgreSQL, its socket is closed instead. Must never be here: SQL, HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Sequence
from typing import LiteralString

import psycopg

from infra.app import served
from infra.app.failures import NotAcknowledged, connection_lost, worth_another_try
from infra.app.gate import Gate, Unavailable
from infra.app.link import Link, Row
from infra.app.pools import SitePool
from infra.app.repertoire import Parameters, Repertoire
from infra.app.settings import Settings

FIRST_PAUSE_S = 0.005
LONGEST_PAUSE_S = 0.1

_log = logging.getLogger(__name__)


class Database:
    """Pools to every site behind one gate. Counts what it abandoned and retried, for /health."""

    def __init__(self, settings: Settings, gate: Gate) -> None:
        self.gate = gate
        self.abandoned = 0
        self.retried = 0
        self._budget_s = settings.budget_s
        self._flights: dict[Link, SitePool] = {}
        self._moved = asyncio.Event()
        self._moves = 0
        self._primary = gate.primary
        self._chores: set[asyncio.Task[None]] = set()
        self._repertoire = Repertoire()
        self.pools = {
            site: SitePool(
                site=site,
                dsn=dsn,
                least=settings.pool_min,
                most=settings.pool_max,
                connect_timeout_s=settings.connect_timeout_s,
                repertoire=self._repertoire,
                stands_by=lambda site=site: gate.primary not in (None, site) and gate.is_open,  # type: ignore[misc]
            )
            for site, dsn in settings.databases.items()
        }
        gate.on_move.append(self._gate_moved)

    async def __aenter__(self) -> Database:
        for pool in self.pools.values():
            pool.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for pool in self.pools.values():
            await pool.stop()

    async def run(
        self, statement: LiteralString, parameters: Parameters, *, budget_s: float | None = None
    ) -> Sequence[Row]:
        """Rows of a statement whose commit was acknowledged; Unavailable when the budget ran out first.

        Failures that say "not here, not now" (failures.py) are tried again, at the primary of that moment.
        """
        self._repertoire.note(statement, parameters)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (self._budget_s if budget_s is None else budget_s)
        pause_s = FIRST_PAUSE_S
        while True:
            moves = self._moves
            try:
                async with self.transaction(deadline) as link:
                    return await link.execute(statement, parameters)
            except (psycopg.Error, NotAcknowledged) as failure:
                if not worth_another_try(failure):
                    raise
                if self.gate.gave_up or loop.time() + pause_s >= deadline:
                    raise Unavailable("the database did not acknowledge in time") from failure
                self.retried += 1
            if moves == self._moves:
                await self._pause(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        """Wait, but no longer than until the gate moves: what was abandoned goes on at the new primary at once."""
        self._moved.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._moved.wait()

    @contextlib.asynccontextmanager
    async def transaction(self, deadline: float) -> AsyncIterator[Link]:
        """A connection to the primary, counted as in flight; on leaving, NotAcknowledged if it must not be believed."""
        pool, link = await self._admitted(deadline)
        primary, epoch = self.gate.primary, self.gate.epoch
        self._flights[link] = pool
        timer = asyncio.get_running_loop().call_at(deadline, self._abandon, link)
        healthy = False
        try:
            yield link
            if link.cut or link.abandoned:
                raise NotAcknowledged("cut" if link.cut else "abandoned")
            healthy = True
            served.note(primary or "", epoch)
        except psycopg.Error as failure:
            healthy = not connection_lost(failure)
            raise
        finally:
            timer.cancel()
            del self._flights[link]
            self.gate.leave()
            await pool.give_back(link, healthy=healthy)

    async def _admitted(self, deadline: float) -> tuple[SitePool, Link]:
        """Through the gate, connection in hand. Waiting for a connection is not in flight: no hold waits for it."""
        while True:
            await self.gate.passed(deadline)
            primary = self.gate.primary
            assert primary is not None
            pool = self.pools[primary]
            try:
                link = await pool.take(deadline)
            except NotAcknowledged:
                continue
            if self.gate.is_open and self.gate.primary == primary and not link.abandoned:
                self.gate.enter()
                return pool, link
            await pool.give_back(link, healthy=True)

    def _abandon(self, link: Link) -> None:
        self.abandoned += 1
        link.abandon()

    def _gate_moved(self) -> None:
        """Nothing at the old primary may hold a request any longer: sockets closed, waiters sent to the new one."""
        old, self._primary = self._primary, self.gate.primary
        if self._flights:
            _log.warning("gate moved to %s: %d transactions abandoned", self.gate.primary, len(self._flights))
        for link in self._flights:
            self._abandon(link)
        self._moves += 1
        for pool in self.pools.values():
            pool.turn_away(NotAcknowledged, "the gate moved")
        if self._primary is not None:
            self.pools[self._primary].now_primary()
        if old is not None and old != self._primary:
            # Connections to a host that vanished look idle for ever; a planned move has closed them already.
            chore = asyncio.create_task(self.pools[old].drop_idle())
            self._chores.add(chore)
            chore.add_done_callback(self._chores.discard)
        self._moved.set()

    def give_up(self) -> None:
        """The process stops: everyone still waiting gets Unavailable in this turn of the loop."""
        self.gate.give_up()
        for link in self._flights:
            self._abandon(link)
        for pool in self.pools.values():
            pool.turn_away(Unavailable, "this process is stopping")
        self._moved.set()
