"""Schedules of the explorer, walked on real PostgreSQL: law off: what was acknowledged is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from failover.model.record import Timeline
from failover.model.units import MemberId
from tests.explore.deciding import Decider
from tests.explore.scenarios import LAWS, explore
from tests.integration.postgres.pair import A, B, Site, protected, proven, wait_for
from tests.integration.postgres.walk import NO_WAL, Statement, Walk, takes_over

pytestmark = pytest.mark.timeout(180)
WITH_WAL = "insert into posts as p values ({}) on conflict (id) do update set id = p.id"


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    alpha, beta = Site(tmp_path, "alpha"), Site(tmp_path, "beta")
    try:
        yield alpha, beta
    finally:
        alpha.kill()
        beta.kill()


def take_over(beta: Site) -> None:
    """beta is promoted from what it has."""
    asyncio.run(takes_over(beta))


def missing_at_beta(walk: Walk) -> set[int]:
    """What was told to clients and is gone once beta is promoted."""
    for site in walk.sites:
        site.kill()
    take_over(walk.sites[1])
    return (walk.acknowledged | (walk.read or set())) - walk.sites[1].rows()


def missing_from_the_read(walk: Walk) -> set[int]:
    assert walk.read is not None
    return walk.acknowledged - walk.read


def missing_at_alpha(walk: Walk) -> set[int]:
    return walk.acknowledged - walk.sites[0].rows()


def missing_everywhere(walk: Walk) -> set[int]:
    """alpha was rewound: it is started as a standby, and nobody has it any more."""
    asyncio.run(walk.sites[0].database.start_standby(None, ()))
    return walk.acknowledged - walk.sites[0].rows() - walk.sites[1].rows()


@pytest.mark.parametrize(
    ("law", "missing"),
    [
        ("A1 gate", missing_at_beta),
        pytest.param("A1 duplicate", missing_at_beta, marks=pytest.mark.long),
        ("C6", missing_everywhere),
        ("C8", missing_at_alpha),
        ("E1", missing_from_the_read),
    ],
)
def test_the_printed_schedule_loses_the_write_on_real_postgresql(
    sites: tuple[Site, Site], law: str, missing: Callable[[Walk], set[int]]
) -> None:
    """Shortest schedule of the law switched off, event by event, as the explorer found it."""
    walk = Walk(*sites)
    walk.begin(LAWS[law].start)
    walk.go(explore(LAWS[law], Decider(off=frozenset({law}))).schedule)
    assert missing(walk) == {1}


@pytest.mark.parametrize(("retry", "kept"), [(NO_WAL, False), (WITH_WAL, True)])
def test_a1_a_duplicate_is_answered_only_by_what_writes_wal(sites: tuple[Site, Site], retry: str, kept: bool) -> None:
    alpha, beta = sites
    schedule = explore(LAWS["A1 duplicate"], Decider(off=frozenset({"A1 duplicate"}))).schedule
    asyncio.run(protected(alpha, beta))
    wait_for(alpha, "select count(*) = 1 from pg_stat_replication where sync_state = 'quorum'")
    beta.kill()  # it flushes nothing of what follows, as in the schedule
    waiting: dict[int, Statement] = {}
    acknowledged: set[int] = set()
    for event in schedule:
        match event:
            case ("writes", 0, number):
                waiting[number] = Statement(alpha, f"insert into posts values ({number})")
                assert not waiting[number].answered_within(1.0)
            case ("ends the wait of", 0, number):
                alpha.value(f"select pg_terminate_backend({waiting[number].pid})")
                wait_for(alpha, f"select count(*) = 1 from posts where id = {number}")
            case ("answers a retry of", 0, number):
                if Statement(alpha, retry.format(number)).answered_within(1.5):
                    acknowledged.add(number)
            case _:
                pytest.fail(f"this walk does not know {event}")
    alpha.kill()
    take_over(beta)
    assert (acknowledged <= beta.rows()) is kept, (acknowledged, beta.rows())


def test_b2_a_name_that_shows_is_not_yet_in_force(sites: tuple[Site, Site]) -> None:
    alpha, beta = sites
    asyncio.run(protected(alpha, beta))

    async def alone() -> None:
        await alpha.database.set_names(())
        await proven(alpha, ())

    asyncio.run(alone())
    checkpointer = int(str(alpha.value("select pid from pg_stat_activity where backend_type = 'checkpointer'")))
    os.kill(checkpointer, signal.SIGSTOP)
    try:
        asyncio.run(alpha.database.set_names((B,)))
        wait_for(alpha, "select current_setting('synchronous_standby_names') like 'ANY 1%'")
        beta.kill()
        assert Statement(alpha, "insert into posts values (7)").answered_within(5.0), "the busy checkpointer hid it"

        async def prove() -> None:
            async with asyncio.timeout(2.0):
                await alpha.database.prove_names((B,))

        with pytest.raises(TimeoutError):
            asyncio.run(prove())
    finally:
        os.kill(checkpointer, signal.SIGCONT)
    asyncio.run(proven(alpha, (B,)))
    assert not Statement(alpha, "insert into posts values (8)").answered_within(1.5), "proven, every commit waits"
    alpha.kill()
    take_over(beta)
    assert 7 not in beta.rows(), "what was acknowledged before the proof is not on the standby"


@pytest.mark.parametrize("law", [True, False])
def test_c5_one_timeline_number_is_not_used_twice(sites: tuple[Site, Site], law: bool) -> None:
    alpha, beta = sites
    asyncio.run(protected(alpha, beta))
    lines = tuple(Timeline(tli=number, fork_lsn=0) for number in (1, 2, 3))

    async def beta_takes_over() -> None:
        assert await alpha.database.stop(clean=True, budget_s=10.0)
        await beta.database.promote(lines[:2])

    async def alpha_takes_over() -> None:
        fork = (await alpha.database.facts()).checkpoint_lsn
        known = (lines[0], Timeline(tli=2, fork_lsn=fork), Timeline(tli=3, fork_lsn=fork))
        await alpha.database.start_standby(None, ())
        await alpha.database.promote(known if law else ())

    async def beta_rejoins() -> None:
        new = MemberId("beta_0000000c")
        await alpha.database.ensure_slots([new])
        assert await beta.database.rewind(beta.peer, new)
        await beta.database.start_standby(beta.peer, (A,))

    asyncio.run(beta_takes_over())
    Statement(beta, "insert into posts values (1)").answered_within(0.5)  # waits for alpha, which is down
    beta.kill()
    asyncio.run(alpha_takes_over())
    # Asked of the WAL being written: the control file says it only after the checkpoint that follows a promotion.
    assert str(alpha.value("select pg_walfile_name(pg_current_wal_insert_lsn())"))[:8] == f"{3 if law else 2:08d}"
    with alpha.session() as session:
        session.execute("insert into posts select g from generate_series(2, 400) g")
    asyncio.run(beta_rejoins())
    ours = alpha.rows()
    end = time.monotonic() + (20.0 if law else 4.0)
    theirs: set[int] = set()
    while theirs != ours and time.monotonic() < end:
        try:
            theirs = beta.rows()
        except psycopg.Error:
            theirs = set()
        time.sleep(0.2)
    assert (theirs == ours) is law, f"{len(theirs)} of {len(ours)} rows"
