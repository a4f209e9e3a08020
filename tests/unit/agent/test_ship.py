"""The shipper does what it is told, says how far it is, and levels stores that missed something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from failover.agent import ship as agent_ship
from failover.agent.ship import Shipper
from failover.data.walship import Shipping
from failover.errors import Unreachable
from failover.model.observation import ShippingFacts
from failover.model.snapshot import MANIFEST, new_id, snapshot_prefix, wal_prefix
from failover.model.units import Lsn
from failover.planner.wal import KEEP, REST, SHIP, SLOT, ShipOrder, counted, reach
from failover.trust.seal import SealKey
from tests.unit.data.small_world import IDENTIFIER, SmallWorld
from tests.unit.data.test_walship import START, WAL, Server, held

END = START + len(WAL)
_DEADLINE_S = 60.0


class Slotted(Server):
    """Remembers what its slot was told."""

    def __init__(self, ends: dict[int, Lsn]) -> None:
        super().__init__(ends)
        self.advanced: list[Lsn] = []
        self.streams = 0

    def advance_slot(self, slot: str, lsn: Lsn) -> None:
        assert slot == SLOT
        self.advanced.append(lsn)

    def wal(self, *, timeline: int, start: Lsn, slot: str = ""):  # type: ignore[no-untyped-def]
        self.streams += 1
        stream = super().wal(timeline=timeline, start=start, slot=slot)
        close = stream.close

        def closed() -> None:
            self.streams -= 1
            close()

        stream.close = closed  # type: ignore[method-assign]
        return stream


class Line:
    """Orders as the agent gives them, and what was said, with a wait for what has to be said."""

    def __init__(self, world: SmallWorld, server: Server, folder: Path) -> None:
        shipping = Shipping(
            fleet="shop", recipients=tuple(key.public for key in world.keys), stores=tuple(world.stores), slot=SLOT,
            interval_s=0.01, max_bytes=server.step,
        )  # fmt: skip
        self.said: list[ShippingFacts] = []
        self._orders: asyncio.Queue[ShipOrder | None] = asyncio.Queue()
        self.shipper = Shipper(server, shipping, wanted_file=folder / "wanted.json", say=self.said.append)

    async def orders(self) -> AsyncIterator[ShipOrder]:
        while (order := await self._orders.get()) is not None:
            yield order

    def order(self, duty: str, safe: Lsn = 0) -> None:
        self._orders.put_nowait(ShipOrder(duty=duty, why="because", safe=safe))  # type: ignore[arg-type]

    async def until(self, wanted: Callable[[ShippingFacts], bool]) -> ShippingFacts:
        async with asyncio.timeout(_DEADLINE_S):
            seen = 0
            while True:
                for facts in self.said[seen:]:
                    seen += 1
                    if wanted(facts):
                        return facts
                await asyncio.sleep(0.01)

    def end(self) -> None:
        self._orders.put_nowait(None)


def lacking(facts: ShippingFacts) -> list[str]:
    return [one.store for one in facts.behind]


def told(world: SmallWorld, server: Server, folder: Path, story: Callable[[Line], object]) -> list[ShippingFacts]:
    """Runs the shipper while the coroutine ``story`` goes on."""

    async def go() -> list[ShippingFacts]:
        line = Line(world, server, folder)
        running = asyncio.create_task(line.shipper.run(line.orders()))
        try:
            await story(line)  # type: ignore[misc]
        finally:
            line.end()
            await asyncio.wait_for(running, _DEADLINE_S)
        return line.said

    return asyncio.run(go())


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    return SmallWorld(SealKey.at(tmp_path / "seal.key"))


def test_it_ships_rests_and_ships_again(world: SmallWorld, tmp_path: Path) -> None:
    server = Slotted({1: END})

    async def story(line: Line) -> None:
        line.order(SHIP)
        done = await line.until(lambda facts: facts.acknowledged_lsn == END)
        assert (done.duty, done.exposure_bytes, done.exposure_s, done.slot) == (SHIP, 0, 0.0, SLOT)
        line.order(REST)
        await line.until(lambda facts: facts.duty == REST and facts.acknowledged_lsn == END)
        assert server.streams == 0, "nothing of it is connected when it says that it rests"
        line.order(SHIP)
        async with asyncio.timeout(_DEADLINE_S):
            while len(server.asked_from) < 2:
                await asyncio.sleep(0.01)

    told(world, server, tmp_path, story)
    assert server.asked_from[-1] == (1, END), "it goes on where it was"


def test_at_a_standby_the_slot_follows_what_the_primary_says_is_safe(world: SmallWorld, tmp_path: Path) -> None:
    server = Slotted({1: END})
    server.recovering = True

    async def story(line: Line) -> None:
        line.order(KEEP, START + 100)
        await line.until(lambda facts: facts.duty == KEEP and facts.acknowledged_lsn == START + 100)
        line.order(KEEP, START + 200)
        await line.until(lambda facts: facts.acknowledged_lsn == START + 200)

    said = told(world, server, tmp_path, story)
    assert set(server.advanced) == {START + 100, START + 200} and server.advanced == sorted(server.advanced)
    assert not server.asked_from and not any(facts.error for facts in said)
    assert not any(store.objects for store in world.stores)


def test_a_server_that_is_gone_is_said_and_tried_again(world: SmallWorld, tmp_path: Path) -> None:
    server = Slotted({1: END})
    answers = server.facts
    server.facts = lambda: (_ for _ in ()).throw(Unreachable("PostgreSQL did not answer"))  # type: ignore[method-assign]

    async def story(line: Line) -> None:
        line.order(SHIP)
        await line.until(lambda facts: "did not answer" in facts.error and (facts.exposure_s or 0) > 0.5)
        server.facts = answers  # type: ignore[method-assign]
        done = await line.until(lambda facts: facts.acknowledged_lsn == END)
        assert not done.error

    told(world, server, tmp_path, story)


def test_with_one_provider_gone_the_exposure_is_told_and_grows(world: SmallWorld, tmp_path: Path) -> None:
    world.stores[1].read_only = True

    async def story(line: Line) -> None:
        line.order(SHIP)
        told_so = await line.until(lambda facts: lacking(facts) == ["s-beta"] and (facts.exposure_s or 0) > 1)
        assert told_so.exposure_bytes == len(WAL) and told_so.acknowledged_lsn == START
        world.stores[1].read_only = False
        done = await line.until(lambda facts: facts.acknowledged_lsn == END)
        assert (done.exposure_bytes, done.exposure_s) == (0, 0.0)

    told(world, Slotted({1: END}), tmp_path, story)


def test_a_store_that_missed_something_is_levelled_without_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_ship, "_LEVEL_EVERY_S", 0.05)
    world = SmallWorld(SealKey.at(tmp_path / "seal.key"), sites=("alpha", "beta", "gamma"))
    world.stores[2].read_only = True
    server = Slotted({1: END})
    middle = START + len(WAL) // 2
    server.ends[1] = middle

    async def story(line: Line) -> None:
        line.order(SHIP)
        await line.until(lambda facts: facts.acknowledged_lsn == middle and lacking(facts) == ["s-gamma"])
        world.stores[2].read_only = False
        server.ends[1] = END
        await line.until(lambda facts: facts.acknowledged_lsn == END and not facts.behind)

    told(world, server, tmp_path, story)
    prefix = wal_prefix("shop", IDENTIFIER, 1)
    assert reach(held(world)["gamma"], START) == END
    for key in (prefix + chunk.name for chunk in held(world)["gamma"]):
        copies = {store.objects[key][0] for store in world.stores if key in store.objects}
        assert len(copies) == 1, "the same bytes everywhere"


def test_lost_wal_wants_a_snapshot_until_there_is_one_in_two_stores(
    world: SmallWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_ship, "_LEVEL_EVERY_S", 0.05)
    server = Slotted({1: END})
    server.kept = None

    def manifest_in(stores: int, at: datetime) -> None:
        prefix = snapshot_prefix("shop", IDENTIFIER, "incremental", new_id(at))
        for store in world.stores[:stores]:
            store.objects[prefix + MANIFEST] = (b"{}", store.now)

    async def lost(line: Line) -> None:
        line.order(SHIP)
        wanted = await line.until(lambda facts: facts.acknowledged_lsn == END and bool(facts.snapshot_wanted))
        assert "was lost" in wanted.snapshot_wanted

    told(world, server, tmp_path, lost)
    assert reach(counted(held(world)), START) == END

    async def still_wanted(line: Line) -> None:
        manifest_in(2, datetime.now(UTC) - timedelta(hours=1))
        manifest_in(1, datetime.now(UTC) + timedelta(seconds=2))
        line.order(SHIP)
        first = await line.until(lambda facts: facts.acknowledged_lsn == END)
        assert first.snapshot_wanted, "a new process knows what the one before it lost"
        await asyncio.sleep(0.3)
        assert line.said[-1].snapshot_wanted, "neither an older one nor one in a single store is enough"
        manifest_in(2, datetime.now(UTC) + timedelta(seconds=5))
        await line.until(lambda facts: facts.duty == SHIP and not facts.snapshot_wanted)

    told(world, server, tmp_path, still_wanted)
    assert not (tmp_path / "wanted.json").exists()
