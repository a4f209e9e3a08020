"""Laws D and E: bounded stops and promotions, fresh reads, gates that end by themselves, writers past the gate."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from unittest.mock import patch

import msgspec

from failover.adapters.postgres_sql import KeeperSession
from failover.adapters.programs import locate
from failover.agent.services import Services
from failover.agent.view import HostView
from failover.model.spec import HostSpec, ServiceSpec
from failover.planner.gate import GateInputs, Hold, believed_for_s, order, serves
from failover.planner.hostspec import host_spec
from tests.fakes.hosts import fleet
from tests.fakes.wired import SECRETS
from tests.laws.acknowledged import fixed
from tests.laws.law import law
from tests.laws.world import Copy, World, eventually, now_s


@law("D1", "a clean stop waits for every stranger that streams")
async def stop_waits_for_a_stranger(world: World, kept: bool) -> list[str]:
    await world.start()
    stranger = _receive(world)
    try:
        await asyncio.sleep(0.6)
        os.killpg(stranger.pid, signal.SIGSTOP)
        await world.write(1)
        if kept:
            await world.a.database.end_strangers(world.record.sync)
        began = now_s()
        clean = await world.a.database.stop(clean=True, budget_s=1.0)
        if not clean:
            world.findings.append(f"PostgreSQL did not stop cleanly within 1 s ({now_s() - began:.1f} s)")
    finally:
        os.killpg(stranger.pid, signal.SIGKILL)
        stranger.wait()
    return list(world.findings)


def _receive(world: World) -> subprocess.Popen[bytes]:
    target = world.folder / "shipped"
    target.mkdir()
    place = f"host={world.a.address} port=5432 user=replicator password=r application_name=shipper"
    program = Path(locate("postgres")[0]).with_name("pg_receivewal")
    command = [str(program), "-D", str(target), "-d", place]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


@law("D2", "sessions on the standby hold up its replay, and with it the promotion")
async def promotion_waits_for_a_reader(world: World, kept: bool) -> list[str]:
    with fixed(kept, "max_standby_streaming_delay", "20s"):
        await world.start()
        assert await world.write(1)
        reader = await world.b.connect()
        await reader.execute("begin isolation level repeatable read")
        await reader.execute("select count(*) from rows")
        await world.a.ask("delete from rows where n = 1")
        await world.a.ask("insert into rows (id, n) values ('k.1', 1)")
        await world.a.ask("vacuum (freeze) rows")
        assert await world.write(2)  # so that what was removed has reached the standby
        await world.a.crash()
        began = now_s()
        with patch.object(KeeperSession, "promote", KeeperSession.promote if kept else _leave_sessions):
            try:
                await asyncio.wait_for(world.promote(world.b), 4.0)
            except TimeoutError:
                world.findings.append(f"the promotion is not through after {now_s() - began:.1f} s")
        await reader.close()
    return list(world.findings)


async def _leave_sessions(self: KeeperSession) -> None:
    """A promotion that ends nobody's session."""
    await self.rows("select pg_promote(false)")


async def _inputs(world: World, **changes: object) -> GateInputs:
    facts = await world.a.database.facts()
    base = GateInputs(site="alpha", record=world.record, db=facts, evidence_at_s=now_s(), fresh_s=2.0,
                      recovered_lsn=0, now_s=now_s())  # fmt: skip
    return msgspec.structs.replace(base, **changes)


@law("E1", "a site serves reads on a record it read long ago")
async def stale_read(world: World, kept: bool) -> list[str]:
    await world.start()
    assert await world.write(1)
    # alpha's whole host is paused with its gate open. beta takes over elsewhere, and a write is made there.
    given = order(await _inputs(world, fresh_s=2.0 if kept else 1e9))
    assert given.state == "open", given
    await world.promote(world.b)
    assert await world.write(2)
    await asyncio.sleep(2.1)
    # It wakes. Before its agent has looked at anything a request arrives, and the app asks its gate.
    if now_s() < given.fresh_until_s:
        await world.read(at=world.a)
    return await world.verdict()


@law("E1", "a primary whose standby does not answer believes as long as one that is not doubted")
async def doubted_and_serving(world: World, kept: bool) -> list[str]:
    await world.start()
    assert await world.write(1)
    # Cut off from everybody, alpha runs on: its agent sees that beta does not answer, and tells its gate.
    fresh_s = believed_for_s(fresh_s=30.0, takeover_s=0.75, doubted=kept)
    given = order(await _inputs(world, fresh_s=fresh_s))
    assert given.state == "open", given
    await asyncio.sleep(0.75)  # what the others need to find it down
    await world.promote(world.b)
    assert await world.write(2)
    if now_s() < given.fresh_until_s:
        await world.read(at=world.a)
    return await world.verdict()


@law("E2", "drained means that the edge counts no request in flight")
async def drained_by_the_edges_count(world: World, kept: bool) -> list[str]:
    await world.start()
    psql = await world.a.connect()
    await psql.execute("begin")
    await psql.execute("insert into rows (id, n) values ('job.1', 1)")
    in_flight_at_the_edge = 0
    listed: tuple[str, ...] = ()
    open_writes = (await world.a.database.facts()).open_writes if kept else in_flight_at_the_edge
    if open_writes:
        listed = await world.a.database.end_writers()
        if not all("idle in transaction since" in one and "insert" not in one for one in listed):
            world.findings.append(f"a leftover was not said in words, or with its statement: {listed}")
    await world.a.database.stop(clean=True, budget_s=2.0)
    if not listed:
        world.findings.append("an open write transaction was cut by the stop, and the plan called it drained")
    await psql.close()
    return list(world.findings)


@law("E2", "a hold has no end of its own")
async def hold_without_an_end(world: World, kept: bool) -> list[str]:
    await world.start()
    until_s = now_s() + 0.5 if kept else float("inf")
    hold = Hold(run="r", epoch=world.record.epoch, until_s=until_s)
    assert order(await _inputs(world, hold=hold)).state == "hold"
    await asyncio.sleep(0.6)  # the command that held it is dead
    if order(await _inputs(world, hold=hold)).state != "open":
        world.findings.append("the gate is still held by a run that is dead, past its budget")
    return await world.verdict()


@law("E4", "what must not run beside itself runs at the standby too: its timers fire twice")
async def timers_at_the_standby(world: World, kept: bool) -> list[str]:
    await world.start()
    published = world.folder / "published"
    command = ("sh", "-c", f"echo published >> {published}; exec sleep 60")
    timer = ServiceSpec(name="timer", command=command, start="when_primary" if kept else "always")
    views = [await _host(world, copy, timer) for copy in (world.a, world.b)]
    hosts = [Services(view, world.a.processes) for view in views]
    try:
        for host in hosts:
            await host.reconcile()
        running = sum(one.state == "running" for host in hosts for one in host.facts())

        async def all_published() -> bool:
            return published.exists() and len(published.read_text().split()) >= running

        assert running
        await eventually(all_published)
        times = len(published.read_text().split())
        if times > 1:
            world.findings.append(f"a scheduled post was published {times} times: its timer runs at the standby too")
    finally:
        for view, host in zip(views, hosts, strict=True):
            view.adopt_spec(_spec(view.site))
            await host.reconcile()
    return await world.verdict()


async def _host(world: World, copy: Copy, service: ServiceSpec) -> HostView:
    """What one site's agent knows, by what its database is now."""
    view = HostView(host_dir=copy.folder, site=copy.site, provider=copy.site)
    view.adopt_spec(_spec(copy.site, service))
    view.record, view.database = world.record, await copy.database.facts()
    inputs = await _inputs(world, site=copy.site, db=view.database)
    view.serving = serves(inputs) == ""
    return view


def _spec(site: str, *services: ServiceSpec) -> HostSpec:
    return msgspec.structs.replace(host_spec(fleet(), fleet().site(site), SECRETS, serial=1), services=services)
