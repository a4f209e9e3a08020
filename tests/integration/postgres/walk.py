"""Walks a schedule of the explorer on two real PostgreSQLs: each event that a copy would feel is done to it.

What only changes the record, a keeper's knowledge or the network is passed over: nothing streams here unless the
schedule says that it flushes, so a standby is as far behind as in the schedule.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import psycopg

from failover.model.record import Timeline
from failover.model.units import MemberId
from tests.integration.postgres.pair import A, B, Site, protected, proven, wait_for

MEMBERS = (A, B)
PASSED_OVER = {
    "reads the record", "network", "agent starts", "names come into force", "the record comes back from a backup",
    "operator accepts a loss and asks for", "operator releases",
}  # fmt: skip
NO_WAL = "insert into posts values ({}) on conflict do nothing"


class Statement:
    """One statement that may wait; ``answered`` once PostgreSQL said that it is done."""

    def __init__(self, site: Site, text: str) -> None:
        self.answered = threading.Event()
        self._session = site.session(timeout_ms=0)
        self._text = text
        self.pid = self._session.info.backend_pid
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._session.execute(self._text.encode())
            self.answered.set()
        except psycopg.Error:
            self._session.close()

    def answered_within(self, seconds: float) -> bool:
        return self.answered.wait(seconds)


async def takes_over(site: Site) -> None:
    """The copy is promoted from what it has."""
    await site.database.start_standby(None, ())
    await site.database.promote(lines((1, 2)))


def lines(numbers: tuple[int, ...]) -> tuple[Timeline, ...]:
    """Timelines as a promotion wants them: only their numbers count there."""
    return tuple(Timeline(tli=number, fork_lsn=0) for number in numbers)


class Walk:
    """``acknowledged``: what a client was told is stored; ``read``: what the last read showed."""

    def __init__(self, alpha: Site, beta: Site) -> None:
        self.sites = (alpha, beta)
        self.acknowledged: set[int] = set()
        self.read: set[int] | None = None
        self._waiting: dict[int, Statement] = {}

    def begin(self, start: str) -> None:
        """As ``scenarios.beginning`` has it, and beta streams no more."""
        asyncio.run(self._begin(start))

    async def _begin(self, start: str) -> None:
        alpha, beta = self.sites
        await protected(alpha, beta)
        wait_for(alpha, "select count(*) = 1 from pg_stat_replication where sync_state = 'quorum'")
        with alpha.session(timeout_ms=60_000) as session:
            session.execute("create table caught_up (id int)")  # acknowledged: beta has flushed all up to here
        if start == "alone":
            await alpha.database.set_names(())
            await proven(alpha, ())
        if start == "committed":
            assert await alpha.database.stop(clean=True, budget_s=30.0)
        beta.kill()
        await beta.database.start_standby(None, (A,))

    def go(self, schedule: tuple[Any, ...]) -> None:
        """Event after event; one that is not known here fails."""
        for event in schedule:
            match event:
                case (str() as name, *_) if name in PASSED_OVER:
                    continue
                case ("keeper", int() as site, action):
                    asyncio.run(self._act(self.sites[site], site, action))
                case ("PostgreSQL is killed" | "host crashes", int() as site):
                    self.sites[site].kill()
                case _:
                    self._client(event)

    def _client(self, event: tuple[Any, ...]) -> None:
        what, site = event[0], self.sites[event[1]]
        match event:
            case ("writes", _, number):
                self._waiting[number] = Statement(site, f"insert into posts values ({number})")
                wait_for(site, f"select {number} in (select id from posts) or exists (select from pg_stat_activity"
                               f" where pid = {self._waiting[number].pid} and wait_event = 'SyncRep')")  # fmt: skip
            case ("acknowledges", _, number):
                assert self._waiting[number].answered_within(30.0), event
                self.acknowledged.add(number)
            case ("ends the wait of", _, number):
                site.value(f"select pg_terminate_backend({self._waiting[number].pid})")
                wait_for(site, f"select count(*) = 1 from posts where id = {number}")
            case ("answers a retry of", _, number):
                assert Statement(site, NO_WAL.format(number)).answered_within(30.0), event
                self.acknowledged.add(number)
            case ("serves a read", _):
                self.read = site.rows()
            case _:
                raise NotImplementedError(f"this walk does not know {what}")

    async def _act(self, site: Site, number: int, action: tuple[Any, ...]) -> None:
        match action:
            case ("swap", *_):
                return
            case ("set names", names):
                await site.database.set_names(_members(names))
            case ("prove names", names):
                await proven(site, _members(names))
            case ("promote", numbers):
                await site.database.promote(lines(numbers))
            case ("start as primary", names):
                await site.database.start_primary(_members(names))
            case ("stop",):
                await site.database.stop(clean=False, budget_s=30.0)
            case ("rewind", source):
                await self.sites[source].database.checkpoint()
                fresh = MemberId(f"{('alpha', 'beta')[number]}_0000000c")
                assert await site.database.rewind(self.sites[source].here, fresh)
            case _:
                raise NotImplementedError(f"this walk does not know {action}")


def _members(names: tuple[int, ...]) -> tuple[MemberId, ...]:
    return tuple(MEMBERS[name] for name in names)
