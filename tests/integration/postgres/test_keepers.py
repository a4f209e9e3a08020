"""Two real keepers, two real PostgreSQLs, one record: what they do after a kill and after a disk that went back.

Only what peers tell each other is given here instead of asked over HTTP.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from failover.adapters.record_sqlite import SqliteRecordStore
from failover.agent.follower import Follower
from failover.agent.keeper import Keeper
from failover.agent.view import HostView
from failover.model.record import Record
from failover.model.spec import HostSpec, Peer
from failover.planner.verdict import DOWN, UP, Opinion
from tests.integration.postgres.pair import PLACES, SPEC, A, Site

pytestmark = pytest.mark.timeout(180)
PROVIDERS = {"alpha": "north", "beta": "south", "gamma": "west"}


class Gates:
    poke = asyncio.Event()

    def decide(self) -> None:
        return None


class Host:
    """One site: its copy, its follower and its keeper, which is told about its peer by looking at it."""

    def __init__(self, site: Site, store: SqliteRecordStore, name: str) -> None:
        self.site, self.name, self.dead = site, name, False
        self.other: Host = self
        self.view = HostView(host_dir=site.host_dir, site=name, provider=PROVIDERS[name])
        peers = tuple(
            Peer(site=other, provider=PROVIDERS[other], address=PLACES.get(other, ""), agent_port=1, database_port=port)
            for other, port in (("alpha", SPEC.port), ("beta", SPEC.port), ("gamma", 0))
            if other != name
        )
        spec = HostSpec(
            fleet="f", site=name, serial=1, role="data", preferred=False, peers=peers, record_endpoints=(),
            services=(), database=SPEC, probe_every_s=0.2, probe_failures=3, probe_timeout_s=0.2,
            standby_stale_s=1.5, fresh_s=2.0, keeper_lease_s=5.0, promote="auto", on_standby_loss="degrade",
        )  # fmt: skip
        self.view.adopt_spec(spec)
        self.follower = Follower(
            self.view, store, lease_file=site.host_dir / "run" / "lease.json", lease_ttl_s=5.0
        )
        self.keeper = Keeper(self.view, site.database, self.follower, Gates())  # type: ignore[arg-type]
        self.keeper._peers = self  # type: ignore[assignment]

    def copies(self) -> dict[str, str]:
        member = self.other.view.database.member
        return {self.other.name: member} if member and not self.other.dead else {}

    def upstream_ready(self, _record: Record | None) -> bool:
        record, peer = self.view.record, self.other.view.database
        return not self.other.dead and record is not None and peer.state == "primary" and peer.member == record.primary

    def opinions(self, site: str) -> tuple[Opinion, ...]:
        runs = self.other.view.database.state in ("primary", "standby") and not self.other.dead
        said = UP if runs else DOWN
        return tuple(Opinion(observer=one, provider=PROVIDERS[one], verdict=said) for one in (self.name, "gamma"))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.follower.keep_lease())
            group.create_task(self.follower.run())
            group.create_task(self.keeper.run())


class Pair:
    """Both hosts and what is waited for."""

    def __init__(self, folder: Path) -> None:
        self.store = SqliteRecordStore(path=folder / "record.db")
        lease = self.store.acquire(name="run", owner="test", ttl_s=30.0, deadline_s=5.0)
        self.store.create(Record(epoch=0, revision=1, primary=A), lease=lease, deadline_s=5.0)
        self.hosts = {name: Host(Site(folder, name), self.store, name) for name in ("alpha", "beta")}
        self.hosts["alpha"].other, self.hosts["beta"].other = self.hosts["beta"], self.hosts["alpha"]
        self.tasks: dict[str, asyncio.Task[None]] = {}

    def start(self, name: str) -> None:
        self.hosts[name].dead = False
        self.tasks[name] = asyncio.create_task(self.hosts[name].run())

    async def kill(self, name: str) -> None:
        """Agent and server, as a provider does it."""
        self.hosts[name].dead = True
        self.tasks[name].cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.tasks[name]
        self.hosts[name].site.kill()

    def reborn(self, name: str, folder: Path) -> None:
        """A new agent on the same disk: it remembers nothing."""
        old = self.hosts[name]
        fresh = Host(old.site, self.store, name)
        fresh.other, old.other.other = old.other, fresh
        self.hosts[name] = fresh
        self.start(name)

    def record(self) -> Record:
        found = self.store.read(deadline_s=5.0)
        assert found is not None
        return found

    async def until(self, what: str, true: Callable[[Record], bool]) -> None:
        end = time.monotonic() + 60
        while not true(self.record()):
            doing = {name: host.view.doing for name, host in self.hosts.items()}
            assert time.monotonic() < end, f"never {what}: {self.record()}, {doing}"
            await asyncio.sleep(0.1)


def test_a_killed_primary_comes_back_and_a_rolled_back_one_is_another_copy(tmp_path: Path) -> None:
    async def story() -> None:
        pair = Pair(tmp_path)
        for name in pair.hosts:
            pair.start(name)
        alpha, beta = pair.hosts["alpha"].site, pair.hosts["beta"].site
        try:
            await pair.until("protected", lambda r: bool(r.sync))
            await asyncio.to_thread(fill, alpha, 1, 50)

            await pair.kill("alpha")
            await pair.until("taken over", lambda r: r.primary.startswith("beta"))
            pair.reborn("alpha", tmp_path)
            await pair.until("protected again", lambda r: bool(r.sync) and r.sync[0].startswith("alpha"))
            first = pair.record().sync[0]
            assert first != A, "a copy that was touched has another id (B1)"

            await pair.kill("alpha")
            kept = alpha.keep_disk()
            pair.reborn("alpha", tmp_path)
            await pair.until("protected", lambda r: bool(r.sync) and r.sync[0].startswith("alpha"))
            again = pair.record()
            await asyncio.to_thread(fill, beta, 100, 50)
            await pair.until("published", lambda r: r.flushed_lsn > again.flushed_lsn)
            await pair.kill("alpha")
            alpha.put_disk_back(kept)
            pair.reborn("alpha", tmp_path)
            await pair.until("made anew", lambda r: bool(r.sync) and r.sync[0] not in again.sync and bool(r.sync))
            assert alpha.rows() == beta.rows() and len(beta.rows()) == 100
        finally:
            for task in pair.tasks.values():
                task.cancel()
            await asyncio.gather(*pair.tasks.values(), return_exceptions=True)
            alpha.kill()
            beta.kill()

    asyncio.run(story())


def fill(site: Site, first: int, count: int) -> None:
    with site.session() as session:
        session.execute("create table if not exists posts (id int primary key)")
        for row in range(first, first + count):
            session.execute("insert into posts values (%s)", [row])
