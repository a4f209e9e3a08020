"""Laws B: who is ``sync``."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
from unittest.mock import patch

import msgspec

from failover.agent.watch import FlushWatch
from failover.planner.keeper import KeeperAction, KeeperFacts, Swap, decide
from failover.planner.verdict import DOWN, UP, Opinion
from tests.laws.acknowledged import lose
from tests.laws.law import law
from tests.laws.world import Copy, World, duplicate, now_s

PROVIDERS = {"alpha": "north", "beta": "south", "gamma": "west"}


def say(**verdicts: str) -> tuple[Opinion, ...]:
    """What observers say of one site."""
    return tuple(Opinion(observer=site, provider=PROVIDERS[site], verdict=one) for site, one in verdicts.items())


async def decided(world: World, copy: Copy, **changes: object) -> KeeperAction:
    """What the keeper of ``copy`` decides from what its PostgreSQL says."""
    base = KeeperFacts(site=copy.site, record=world.record, db=await copy.database.facts(), providers=PROVIDERS,
                       upstream_ready=True)  # fmt: skip
    return decide(msgspec.structs.replace(base, **changes))


async def take_over(world: World, copy: Copy, opinions: tuple[Opinion, ...]) -> bool:
    """``copy`` is promoted if, and only if, its keeper would take the record."""
    action = await decided(world, copy, opinions={world.record.primary_site: opinions})
    if not (isinstance(action, Swap) and action.new.primary == copy.member):
        return False
    await world.promote(copy)
    return True


@law("B1", "a clone carries the member's own name")
async def clone_under_the_members_name(world: World, kept: bool) -> list[str]:
    assert world.c.member
    await world.start()
    await world.b.crash()
    if not kept:
        world.c.files.put_member(world.b.member)
    await world.c.database.start_standby(world.a.upstream, ())
    await world.streams(world.c)
    await world.write(1)
    await lose(world, world.b)
    return await world.verdict()


@law("B1", "a copy made anew keeps its old id while the record still lists it")
async def old_id_on_a_new_copy(world: World, kept: bool) -> list[str]:
    await world.start()
    before = world.folder / "before"
    await world.b.database.stop(clean=True, budget_s=5.0)
    duplicate(world.b.files.data, before)
    await world.b.database.start_standby(world.a.upstream, (world.a.member,))
    await world.streams(world.b)
    assert await world.write(1)
    await world.b.crash()
    await world.a.crash()
    shutil.rmtree(world.b.files.data)
    duplicate(before, world.b.files.data)
    if kept:
        world.b.files.put_member("beta_000000ff")
    await world.b.database.start_standby(world.a.upstream, (world.a.member,))
    if not await take_over(world, world.b, say(beta=DOWN, gamma=DOWN)):
        await world.a.database.start_primary((world.b.member,))
    return await world.verdict()


@law("B1", "promote does not look at how far the members had flushed")
async def disk_rolled_back(world: World, kept: bool) -> list[str]:
    await world.start()
    before = world.folder / "before"
    await world.b.database.stop(clean=True, budget_s=5.0)
    duplicate(world.b.files.data, before)
    await world.b.database.start_standby(world.a.upstream, (world.a.member,))
    await world.streams(world.b)
    assert await world.write(1)
    flushed = (await world.a.database.facts()).flushed
    world.see_record(world.record.next(flushed_lsn=flushed if kept else 0))
    await world.b.crash()
    await world.a.crash()
    shutil.rmtree(world.b.files.data)
    before.rename(world.b.files.data)
    await world.b.database.start_standby(world.a.upstream, (world.a.member,))
    if not await take_over(world, world.b, say(beta=DOWN, gamma=DOWN)):
        await world.a.database.start_primary((world.b.member,))
    return await world.verdict()


@law("B2", "names count as in force because the view says so")
async def names_on_the_views_word(world: World, kept: bool) -> list[str]:
    await world.start(names=())
    checkpointer = world.a.child("checkpointer")
    await world.a.database.set_names(())
    os.kill(checkpointer, signal.SIGSTOP)
    await world.a.database.set_names((world.b.member,))
    await asyncio.sleep(0.3)
    proven = True
    if kept:
        try:
            async with asyncio.timeout(1.5):
                await world.a.database.prove_names((world.b.member,))
        except TimeoutError:
            proven = False
    if proven:
        world.see_record(world.record.next(sync=(world.b.member,)))
    await world.b.crash()
    await world.write(1)
    os.kill(checkpointer, signal.SIGCONT)
    await world.a.crash()
    if world.b.member in world.record.sync:
        await world.b.database.start_standby(None, ())
        await world.promote(world.b)
    else:
        await world.a.database.start_primary(())
    return await world.verdict()


@law("B3", "ANY 1 of two members")
async def any_one_of_two(world: World, kept: bool) -> list[str]:
    def any_one(names: tuple[str, ...]) -> str:
        return f"ANY 1 ({', '.join(names)})"

    with contextlib.ExitStack() as stack:
        if not kept:
            for module in ("failover.adapters.postgres_config", "failover.adapters.postgres_sql"):
                stack.enter_context(patch(f"{module}.sync_names", lambda names: any_one(names) if names else ""))
        await world.start(names=(world.b.member, world.c.member), standbys=(world.c,))
        await world.b.crash()
        await world.write(1)
        await lose(world, world.b)
        return await world.verdict()


@law("B4", "a primary leaves its standby out on its own word, without a witness")
async def degrade_without_a_witness(world: World, kept: bool) -> list[str]:
    await world.start()
    await world.b.crash()  # for the primary it is gone; the witness still hears its host
    witness = UP if kept else DOWN
    lost = frozenset({str(world.b.member)})
    action = await decided(world, world.a, lost=lost, opinions={"beta": say(alpha=DOWN, gamma=witness)})
    if isinstance(action, Swap):
        world.see_record(action.new)
        await world.a.database.set_names(action.new.sync)
        await asyncio.sleep(0.2)
    await world.write(1)
    await lose(world, world.b)
    # What the record calls protected is what the promise is about; here the fleet said that it was not.
    return [one for one in await world.verdict() if "was not in sync" not in one]


@law("B5", "silence of an idle standby means nothing (no heartbeat)")
async def idle_and_frozen(world: World, kept: bool) -> list[str]:
    await world.start()
    watch = FlushWatch(stale_s=1.5)
    world.b.signal(signal.SIGSTOP)
    end, noticed = now_s() + 3.0, False
    while now_s() < end and not noticed:
        if kept:
            watch.beat(at_s=now_s(), lsn=await world.a.database.heartbeat())
        facts = await world.a.database.facts()
        watch.look(facts, now_s=now_s())
        noticed = world.b.member in watch.lost(facts, now_s=now_s())
        await asyncio.sleep(0.2)
    if not noticed:
        world.findings.append("a standby that has been frozen for 3 s is not noticed")
    return await world.verdict()


@law("C7", "the old primary is listed as sync while the new one's names are empty")
async def names_empty_at_the_promotion(world: World, kept: bool) -> list[str]:
    await world.start()
    assert await world.write(1)
    await world.a.database.stop(clean=True, budget_s=5.0)
    names = (world.a.member,) if kept else ()
    await world.promote(world.b, sync=(world.a.member,), names=names)
    await world.write(2)
    await world.b.crash()
    await world.a.database.start_standby(None, ())
    await world.promote(world.a)
    return await world.verdict()

