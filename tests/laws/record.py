"""Laws C: who writes the record, and what a data directory may do without it."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import patch

import msgspec
import psycopg

from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.record_sqlite import SqliteRecordStore
from failover.agent.view import HostView
from failover.errors import LeaseLost, Unreachable
from failover.model.record import Record, Timeline
from failover.planner.keeper import KeeperFacts, Swap, decide
from failover.planner.verdict import DOWN
from tests.laws.acknowledged import fixed, lose
from tests.laws.law import law
from tests.laws.members import say, take_over
from tests.laws.world import World, now_s


def store_of(world: World) -> SqliteRecordStore:
    """A record store that holds the world's record, as a fleet at rest has it."""
    store = SqliteRecordStore(path=world.folder / "record.db")
    lease = store.acquire(name="seed", owner="seed", ttl_s=60, deadline_s=1)
    first = Record(epoch=0, revision=1, primary=world.a.member)
    assert store.create(first, lease=lease, deadline_s=1)
    wanted = msgspec.structs.replace(world.record, revision=2)
    assert store.swap(expected_revision=1, new=wanted, lease=lease, deadline_s=1)
    world.record = wanted
    return store


@law("C1", "a swap does not compare the revision")
async def swap_without_revision(world: World, kept: bool) -> list[str]:
    await world.start()
    store = store_of(world)
    primary, candidate = (store.acquire(name=n, owner=n, ttl_s=60, deadline_s=1) for n in ("keeper-a", "keeper-b"))
    stale = store.read(deadline_s=1)
    assert stale is not None
    # The primary leaves its dead standby out, with the witness's consent, and acknowledges alone.
    await world.b.crash()
    alone = stale.next(sync=())
    assert store.swap(expected_revision=stale.revision, new=alone, lease=primary, deadline_s=1)
    world.record = alone
    await world.set_names(())
    assert await world.write(1)
    # The candidate read the record before that, was paused, and now takes it.
    taken = stale.next(epoch=stale.epoch + 1, primary=world.b.member, sync=())
    expected = stale.revision if kept else alone.revision
    if not kept:
        taken = msgspec.structs.replace(taken, revision=alone.revision + 1)
        with patch("failover.adapters.record_sqlite.illegal", lambda before, after: ""):
            swapped = store.swap(expected_revision=expected, new=taken, lease=candidate, deadline_s=1)
    else:
        swapped = store.swap(expected_revision=expected, new=taken, lease=candidate, deadline_s=1)
    store.close()
    await world.a.crash()
    if swapped:
        await world.b.database.start_standby(None, ())
        await world.promote(world.b)
    else:
        await world.a.database.start_primary(())
    return await world.verdict()


@law("C1", "a swap does not compare the writer's lease: a woken run still commits")
async def swap_without_lease(world: World, kept: bool) -> list[str]:
    await world.start()
    store = store_of(world)
    first = store.acquire(name="fleet", owner="run 1", ttl_s=0.2, deadline_s=1)
    seen = store.read(deadline_s=1)
    assert seen is not None
    await asyncio.sleep(0.3)
    # The first run was stopped; a second operator took the lease, looked, and was told: nothing has moved.
    second = store.acquire(name="fleet", owner="run 2", ttl_s=60, deadline_s=1)
    told = store.read(deadline_s=1)
    commit = seen.next(epoch=seen.epoch + 1, primary=world.b.member, sync=(world.a.member,))
    with contextlib.suppress(LeaseLost):  # as it must be; what counts is what the record says now
        store.swap(expected_revision=seen.revision, new=commit, lease=first if kept else second, deadline_s=1)
    now = store.read(deadline_s=1)
    if now != told:
        world.findings.append("the record was changed by a run whose lease another had taken over")
    store.close()
    return await world.verdict()


@law("C2", "a primary starts without a swap of the record, so a paused run still commits")
async def start_without_a_swap(world: World, kept: bool) -> list[str]:
    await world.start()
    store = store_of(world)
    keeper, run = (store.acquire(name=n, owner=n, ttl_s=60, deadline_s=1) for n in ("keeper-a", "fleet"))
    await world.a.database.stop(clean=True, budget_s=5.0)
    paused = store.read(deadline_s=1)  # the run has stopped a and is paused before its commit
    assert paused is not None
    if kept:
        assert store.swap(expected_revision=paused.revision, new=paused.next(), lease=keeper, deadline_s=1)
    await world.a.database.start_primary((world.b.member,))
    await world.streams(world.b)
    commit = paused.next(epoch=paused.epoch + 1, primary=world.b.member, sync=(world.a.member,))
    swapped = store.swap(expected_revision=paused.revision, new=commit, lease=run, deadline_s=1)
    store.close()
    if swapped and (await world.a.database.facts()).state == "primary":
        world.findings.append("the record moved to beta while alpha ran as primary: it was not fenced before")
    return await world.verdict()


_HOLD = """
import sys, time
from pathlib import Path
from failover.agent import main
if sys.argv[2] == "kept":
    main._lock_for_life(Path(sys.argv[1]))
print("here", flush=True)
time.sleep(60)
"""


@law("C3", "a second keeper starts beside one that is stuck")
async def two_keepers(world: World, kept: bool) -> list[str]:
    command = [sys.executable, "-c", _HOLD, str(world.folder / "host"), "kept" if kept else "broken"]
    root = str(Path(__file__).parents[2])
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(1)]
    try:
        assert both[0].stdout is not None and both[0].stdout.readline() == "here\n"
        both.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root))
        assert both[1].stdout is not None and await asyncio.to_thread(both[1].stdout.readline) == "here\n"
        time.sleep(0.1)
        alive = [one for one in both if one.poll() is None]
        if len(alive) != 1:
            world.findings.append(f"{len(alive)} keepers of one data directory")
    finally:
        for one in both:
            one.kill()
            one.communicate()
    return list(world.findings)


@law("C4", "the data directory of a primary holds no standby.signal")
async def stray_start(world: World, kept: bool) -> list[str]:
    with patch.object(PostgresFiles, "signal_standby", PostgresFiles.signal_standby if kept else _nothing):
        await world.start()
        if not kept:
            (world.a.files.data / "standby.signal").unlink(missing_ok=True)
        await world.a.crash()
        await world.promote(world.b, sync=())
        await world.write(1)
        # Somebody starts what lies there, by hand: no keeper, no swap of the record.
        await world.a.database._server.start()
    if not (await world.a.ask("select pg_is_in_recovery()"))[0][0]:
        world.findings.append("a start by hand of the old primary takes writes")
    return await world.verdict()


def _nothing(self: PostgresFiles, data: Path) -> None:
    del self, data


@law("C4", "settings that safety rests on can be changed by ALTER SYSTEM")
async def alter_system(world: World, kept: bool) -> list[str]:
    with fixed(kept, "allow_alter_system", "on"):
        await world.start()
        with contextlib.suppress(psycopg.errors.FeatureNotSupported):  # refused, as it must be
            await world.a.ask("alter system set synchronous_standby_names = ''")
            await world.a.ask("select pg_reload_conf()")
            await asyncio.sleep(0.3)
        await world.b.crash()
        await world.write(1)
        await lose(world, world.b)
    return await world.verdict()


@law("C5", "a copy that was never in sync is promoted")
async def promoted_though_not_in_sync(world: World, kept: bool) -> list[str]:
    await world.start(standbys=(world.c,))
    await world.c.crash()
    assert await world.write(1)
    if not kept:
        world.see_record(world.record.next(sync=(world.b.member, world.c.member)))
    await world.a.crash()
    await world.c.database.start_standby(world.a.upstream, (world.a.member,))
    if not await take_over(world, world.c, say(beta=DOWN, gamma=DOWN)):
        assert await take_over(world, world.b, say(beta=DOWN, gamma=DOWN))
    return await world.verdict()


@law("C5", "one observer is enough to find the primary gone")
async def one_observer_is_enough(world: World, kept: bool) -> list[str]:
    await world.start()
    second = {"gamma": DOWN} if not kept else {}
    if await take_over(world, world.b, say(beta=DOWN, **second)):
        try:
            if (await world.a.database.facts()).state == "primary":
                world.findings.append("beta took over while alpha answered as primary")
        except Unreachable as error:
            world.findings.append(str(error))
    return await world.verdict()


@law("C5", "a promotion does not know the record's timelines: one number is used twice")
async def timeline_used_twice(world: World, kept: bool) -> list[str]:
    await world.start()
    await world.a.crash()
    await world.promote(world.b)
    await world.write(1)
    await world.b.crash()
    await world.a.database.start_standby(None, ())
    lines = (*world.record.timelines, Timeline(tli=3, fork_lsn=(await world.a.database.facts()).position))
    used = {line.tli for line in world.record.timelines}
    await world.a.database.promote(lines if kept else ())
    number = (await world.a.database.facts()).timeline
    if number in used:
        world.findings.append(f"timeline {number} was used by beta already, and now by alpha")
    return list(world.findings)


@law("C6", "a former primary is rewound before the WAL past the fork is kept aside")
async def rewound_without_evidence(world: World, kept: bool) -> list[str]:
    await world.start(names=())
    await world.streams(world.b)
    await world.b.crash()
    for number in range(1, 4):
        assert await world.write(number)
    await world.a.crash()
    await world.b.database.start_standby(None, ())
    fork = (await world.b.database.facts()).position
    await world.b.database.promote((Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=fork)))
    await world.b.database.checkpoint()
    counted = (await world.a.database.save_evidence(fork, None)).commits if kept else 0
    rewound = await world.a.database.rewind(world.b.upstream, world.a.member)
    there = await world.b.ask("select count(*) from rows")
    lost = 3 - int(str(there[0][0]))
    if rewound and lost != counted:
        world.findings.append(f"{lost} acknowledged commits are gone and the certificate says {counted}")
    return list(world.findings)



@law("C8", "voters that were restored from a backup are followed: the record names the primary of before")
async def record_from_a_backup(world: World, kept: bool) -> list[str]:
    await world.start()
    backup = world.record
    await world.a.crash()
    host = HostView(host_dir=world.a.folder, site="alpha", provider="north")
    host.saw_record(backup, asked_at_s=now_s())
    await world.promote(world.b)
    host.saw_record(world.record, asked_at_s=now_s())
    assert await world.write(1)
    # The voters come back with what a backup of them holds, and alpha's agent starts anew.
    if not kept:
        (world.a.folder / "epoch").unlink()
    again = HostView(host_dir=world.a.folder, site="alpha", provider="north")
    again.saw_record(backup, asked_at_s=now_s())
    facts = KeeperFacts(site="alpha", record=again.record, db=await world.a.database.facts())
    action = decide(facts)
    if isinstance(action, Swap) and action.permits_start:
        await world.a.database.start_primary(())
        return await world.verdict(world.a)
    return await world.verdict()
