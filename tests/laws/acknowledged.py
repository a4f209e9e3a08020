"""Laws A: what counts as acknowledged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from unittest.mock import patch

import psycopg

from failover.adapters import postgres_config
from failover.planner.gate import GateInputs, serves
from infra.app.failures import NotAcknowledged
from infra.app.link import Link
from tests.laws.law import law
from tests.laws.world import Copy, World, eventually, now_s, stopped


@contextlib.contextmanager
def fixed(kept: bool, name: str, value: str) -> Iterator[None]:
    """One of the settings that safety rests on is another one, when the law is not kept."""
    with patch.dict(postgres_config._FIXED, {} if kept else {name: value}):
        yield


async def lose(world: World, copy: Copy) -> None:
    """The primary's provider is gone for good; ``copy``, which the record lists, takes over."""
    await world.a.crash()
    if stopped(await copy.database.facts()):
        await copy.database.start_standby(None, ())
    await world.promote(copy)


@law("A1", "a duplicate is answered by a statement that writes no WAL")
async def duplicate_without_wal(world: World, kept: bool) -> list[str]:
    await world.start()
    await world.b.crash()
    assert not await world.write(1)
    await world.a.ask("select pg_terminate_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'")
    again = "on conflict (id) do update set seen = rows.seen + 1" if kept else "on conflict (id) do nothing"
    await world.write(1, how=again)
    await lose(world, world.b)
    return await world.verdict()


@law("A1", "the gate opens after a start as primary before the standby has flushed the end of recovery")
async def gate_open_after_a_restart(world: World, kept: bool) -> list[str]:
    await world.start()
    await world.b.crash()
    assert not await world.write(1)
    await world.a.crash()
    await world.a.database.start_primary((world.b.member,))
    await world.a.database.prove_names((world.b.member,))
    facts = await world.a.database.facts()
    inputs = GateInputs(site="alpha", record=world.record, db=facts, evidence_at_s=now_s(), fresh_s=2.0,
                        recovered_lsn=facts.position if kept else -1, now_s=now_s())  # fmt: skip
    if not serves(inputs):
        await world.read()
    await lose(world, world.b)
    return await world.verdict()


@law("A1", "PostgreSQL starts itself again after a crash (restart_after_crash)")
async def postgresql_restarts_itself(world: World, kept: bool) -> list[str]:
    with fixed(kept, "restart_after_crash", "on"):
        await world.start()
        await world.b.crash()
        assert not await world.write(1)
        os.kill(world.a.child("walwriter"), signal.SIGKILL)
        with contextlib.suppress(AssertionError, psycopg.OperationalError):
            await asyncio.sleep(0.5)  # a crash of one process takes all of them down before any comes back
            await eventually(lambda: _reads(world), within_s=3.0)
    await lose(world, world.b)
    return await world.verdict()


async def _reads(world: World) -> bool:
    try:
        return bool(await world.read())
    except psycopg.OperationalError:
        return False


@law("A2", "a commit whose wait was cancelled counts as acknowledged (warning 01000)")
async def cancelled_commit_is_believed(world: World, kept: bool) -> list[str]:
    await world.start()
    await world.b.crash()
    if kept:
        await _by_the_apps_own_link(world)
    else:
        await world.write(1, cancel=True)
    await lose(world, world.b)
    return await world.verdict()


async def _by_the_apps_own_link(world: World) -> None:
    """The app's connection: it must see the warning and not believe the answer."""
    world.history.append({"e": "invoke", "op": 900, "kind": "write", "key": "k", "n": 1, "id": "k.1", "t": now_s()})
    connection = await world.a.connect()
    link = Link(connection, now=now_s())
    began = now_s()
    task = asyncio.create_task(link.execute("insert into rows (id, n) values ('k.1', 1) returning n", {}))
    await asyncio.sleep(0.4)
    connection.cancel()
    with contextlib.suppress(NotAcknowledged, psycopg.Error):
        await task
        if not link.cut:
            world.acknowledged(900, world.a, tried=began)
    await connection.close()


@law("A2", "a role has synchronous_commit=off")
async def role_does_not_wait(world: World, kept: bool) -> list[str]:
    await world.start()
    if not kept:
        await world.a.ask("alter role keeper set synchronous_commit = off")
    await world.streams(world.b)
    await world.b.crash()
    await world.write(1)
    await lose(world, world.b)
    return await world.verdict()


@law("A3", "synchronous_commit is below on")
async def commit_level_below_on(world: World, kept: bool) -> list[str]:
    with fixed(kept, "synchronous_commit", "local"):
        await world.start()
        await world.b.crash()
        await world.write(1)
        await lose(world, world.b)
    return await world.verdict()
