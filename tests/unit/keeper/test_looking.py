"""What a keeper decides on belongs together: a database no older than the record, and what it knows of its swaps."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failover.agent.keeper import Keeper
from failover.agent.view import HostView
from failover.model.observation import DatabaseFacts
from failover.model.record import Record
from failover.planner.keeper import Swap

A, B = "alpha_0000000a", "beta_0000000b"
FIRST = Record(epoch=3, revision=30, primary=A, sync=(B,))


class Database:
    """Answers with ``state``, after something else happened meanwhile."""

    def __init__(self, state: str, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.state = state
        self._meanwhile = meanwhile

    async def facts(self) -> DatabaseFacts:
        self._meanwhile()
        return DatabaseFacts(state=self.state, member=B)

    async def ensure_slots(self, members: list[str]) -> None:
        assert members == []

    async def apply_settings(self) -> tuple[str, ...]:
        return ()

    def certificates(self) -> tuple[Any, ...]:
        return ()


class Gates:
    """Nobody is behind them."""

    poke = asyncio.Event()

    def decide(self) -> None:
        return None


class Follower:
    """The record's answer to a swap."""

    def __init__(self, *, done: bool) -> None:
        self._done = done

    async def swap(self, expected_revision: int, new: Record) -> bool:
        return self._done


@pytest.fixture
def view(tmp_path: Path) -> HostView:
    made = HostView(host_dir=tmp_path, site="beta", provider="south")
    made.record = FIRST
    return made


def keeper(view: HostView, database: Database, *, done: bool = True) -> Keeper:
    return Keeper(view, database, Follower(done=done), Gates())  # type: ignore[arg-type]


def facts(one: Keeper) -> Any:
    return one._facts()


def swap() -> Swap:
    return Swap(expected_revision=30, new=FIRST.next(), why="test")


def test_a_record_that_came_while_the_database_was_looked_at_waits_for_the_next_look(view: HostView) -> None:
    """Else a primary adds a standby it saw stream before that standby was stopped and the record told of it."""

    def another_keeper_swaps() -> None:
        view.record = FIRST.next()

    one = keeper(view, Database("standby", another_keeper_swaps))
    asyncio.run(one._look())
    assert view.record.revision == 31 and facts(one).record == FIRST
    asyncio.run(one._look())
    assert facts(one).record.revision == 31


def test_a_swap_is_its_own_until_the_copy_runs_as_a_standby(view: HostView) -> None:
    database = Database("stopped")
    one = keeper(view, database)
    asyncio.run(one._look())
    assert facts(one).own_revision == 0
    asyncio.run(one._swap(swap()))
    assert facts(one).own_revision == 31
    database.state = "standby"
    asyncio.run(one._look())
    assert facts(one).own_revision == 0


def test_a_refused_or_unanswered_swap_may_be_on_its_way(view: HostView) -> None:
    one = keeper(view, Database("stopped"), done=False)
    asyncio.run(one._look())
    assert facts(one).sent_revision == 30, "what a predecessor sent may be too"
    view.record = msgspec.structs.replace(FIRST, revision=34)
    asyncio.run(one._look())
    asyncio.run(one._swap(Swap(expected_revision=34, new=view.record.next(), why="test")))
    assert facts(one).sent_revision == 34 and facts(one).own_revision == 0
