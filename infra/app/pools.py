"""Connections to one site's PostgreSQL: pre-opened, checked without a round trip, replaced at once when they break.

psycopg_pool is not used: its reconnect backs off from 1 s upwards and it cannot close the socket of a connection in
use, and both decide how long a move is felt. Must never be here: the gate, retries, SQL.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections import deque
from collections.abc import Callable
from typing import Any

import psycopg

from infra.app.gate import Unavailable
from infra.app.link import Link
from infra.app.repertoire import Repertoire

SWEEP_S = 0.1
RETRY_S = 0.1
OPENING_AT_ONCE = 4
# A burst that waits for a new primary is served soonest by what is open; new backends take the processor from it.
FRESH_S = 0.5
# A site that dropped our connections has better things to do than to take twenty new ones nobody waits for: after a
# planned move it is just coming back as the standby that the first commits wait for.
REFILL_S = 1.5
EXTRA_IDLE_S = 30.0
# Repeated by libpq only where the connection string does not say otherwise.
TCP = {"keepalives_idle": 2, "keepalives_interval": 1, "keepalives_count": 3, "tcp_user_timeout": 3000}

_log = logging.getLogger(__name__)


class SitePool:
    """From `least` to `most` connections to one site. A dead site costs one log line and a try every 0.1 s."""

    def __init__(
        self,
        *,
        site: str,
        dsn: str,
        least: int,
        most: int,
        connect_timeout_s: float,
        repertoire: Repertoire,
        stands_by: Callable[[], bool],
    ) -> None:
        self.site = site
        self._repertoire = repertoire
        self._stands_by = stands_by
        self._dsn = dsn
        self._least, self._most = least, most
        self._connect_timeout_s = connect_timeout_s
        self._idle: deque[Link] = deque()
        self._busy = 0
        self._opening: set[asyncio.Task[None]] = set()
        self._wanted: deque[asyncio.Future[Link]] = deque()
        self._kick = asyncio.Event()
        self._not_before = 0.0
        self._calm_until = 0.0
        self._fresh_until = 0.0
        self._reachable = True
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name=f"pool {self.site}")
        self._keeper.add_done_callback(self._keeper_ended)

    async def stop(self) -> None:
        tasks = [task for task in (self._keeper, *self._opening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.drop_idle()

    def counts(self) -> dict[str, int]:
        return {"idle": len(self._idle), "busy": self._busy, "wanted": len(self._wanted)}

    async def take(self, deadline: float) -> Link:
        """A usable connection, or Unavailable at `deadline`."""
        while self._idle:
            link = self._idle.pop()
            if link.usable:
                self._busy += 1
                return link
            await link.close()
        place: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self._wanted.append(place)
        self._kick.set()
        try:
            async with asyncio.timeout_at(deadline):
                return await place
        except BaseException as failure:
            if place.done() and not place.cancelled() and place.exception() is None:
                # Handed out in the same turn of the loop in which the wait ended: nobody else would ever return it.
                await self.give_back(place.result(), healthy=True)
            if isinstance(failure, TimeoutError):
                raise Unavailable(f"no connection to {self.site}") from None
            raise
        finally:
            if place in self._wanted:
                self._wanted.remove(place)

    def turn_away(self, kind: type[Exception], why: str) -> None:
        """Fail everyone who waits for a connection here: the gate moved, or the process is stopping."""
        while self._wanted:
            place = self._wanted.popleft()
            if not place.done():
                place.set_exception(kind(why))

    async def give_back(self, link: Link, *, healthy: bool) -> None:
        self._busy -= 1
        if not (healthy and link.usable):
            await link.close()
            self._kick.set()
            return
        link.cut = False
        self._hand_out(link)

    def now_primary(self) -> None:
        """The gate has just moved here: for a moment it grows by one connection at a time."""
        self._fresh_until = asyncio.get_running_loop().time() + FRESH_S

    async def drop_idle(self) -> None:
        self._calm_until = asyncio.get_running_loop().time() + REFILL_S
        while self._idle:
            await self._idle.pop().close()
        self._kick.set()

    def _hand_out(self, link: Link) -> None:
        while self._wanted:
            place = self._wanted.popleft()
            if not place.done():
                self._busy += 1
                place.set_result(link)
                return
        link.used_at = asyncio.get_running_loop().time()
        self._idle.append(link)

    def _keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        """A pool nobody keeps would starve in silence: end the process, whoever started it starts it anew."""
        if not keeper.cancelled() and keeper.exception() is not None:
            _log.critical("the pool of %s broke", self.site, exc_info=keeper.exception())
            signal.raise_signal(signal.SIGTERM)

    async def _keep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._kick.clear()
            await self._sweep(loop.time())
            if loop.time() >= self._not_before:
                for _ in range(self._missing()):
                    task = asyncio.create_task(self._open())
                    self._opening.add(task)
                    task.add_done_callback(self._opening.discard)
            if self._stands_by():
                await self._ready_one()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_S):
                    await self._kick.wait()

    async def _ready_one(self) -> None:
        """One statement on one idle connection a sweep: a move wants it some day, today's load must not feel it."""
        for link in tuple(self._idle):
            if link not in self._idle:
                continue  # taken while another was readied
            self._idle.remove(link)
            try:
                more = await link.ready_for(self._repertoire)
            except psycopg.Error as failure:
                _log.info("not readied at %s: sqlstate %s", self.site, failure.sqlstate)
                more = True
            if link.usable:
                self._hand_out(link)
            else:
                await link.close()
            if more:
                return

    def _missing(self) -> int:
        total = len(self._idle) + self._busy + len(self._opening)
        now = asyncio.get_running_loop().time()
        calm, fresh = now < self._calm_until, now < self._fresh_until
        goal = min(self._most, max(0 if calm else self._least, self._busy + len(self._wanted)))
        # A site that is away is asked by one attempt at a time.
        at_once = OPENING_AT_ONCE if self._reachable and not fresh else 1
        return max(0, min(goal - total, at_once - len(self._opening)))

    async def _sweep(self, now: float) -> None:
        for link in tuple(self._idle):
            extra = len(self._idle) > self._least and now - link.used_at > EXTRA_IDLE_S
            if (extra or not link.usable) and link in self._idle:
                self._calm_until = self._calm_until if extra else now + REFILL_S
                self._idle.remove(link)
                await link.close()

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                connection = await psycopg.AsyncConnection.connect(self._dsn, autocommit=True, **_defaults(self._dsn))
        except (psycopg.Error, TimeoutError, OSError) as failure:
            self._not_before = loop.time() + RETRY_S
            self._calm_until = loop.time() + REFILL_S
            if self._reachable:
                self._reachable = False
                state = getattr(failure, "sqlstate", None)
                _log.warning("no connection to %s (%s, sqlstate %s)", self.site, type(failure).__name__, state)
            return
        if not self._reachable:
            self._reachable = True
            _log.warning("connected to %s again", self.site)
        self._hand_out(Link(connection, now=loop.time()))
        self._kick.set()


def _defaults(dsn: str) -> dict[str, Any]:
    given = psycopg.conninfo.conninfo_to_dict(dsn)
    # Never synchronous_commit here: one session that lowers it would break the promise for its writes.
    wanted: dict[str, Any] = {
        **TCP, "application_name": "social-app", "options": "-c jit=off -c idle_in_transaction_session_timeout=5000",
    }  # fmt: skip
    return {name: value for name, value in wanted.items() if name not in given}
