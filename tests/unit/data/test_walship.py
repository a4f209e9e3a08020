"""What the shipper acknowledges is what two providers hold, whatever the stores do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from failover.data.squeeze import expand_noted
from failover.data.walship import Shipped, Shipping, ship
from failover.errors import Refused, StoreFull, Unreachable
from failover.model.snapshot import WalChunk, parse_chunk, wal_prefix
from failover.model.units import Lsn
from failover.planner.wal import counted, reach
from failover.ports.snapshot_source import EndOfTimeline, SourceFacts, WalPiece
from failover.trust.seal import SealKey
from tests.unit.data.small_world import IDENTIFIER, SmallSource, SmallWorld

START = 0x10000
WAL = bytes(index * 7 % 251 for index in range(40_000))


class Stream:
    """WAL from memory, ``step`` bytes at a time; then idle, or the end of the timeline."""

    def __init__(self, server: Server, timeline: int, start: Lsn) -> None:
        self._server, self._timeline, self._at = server, timeline, start

    def receive(self, *, max_bytes: int, max_wait_s: float) -> WalPiece | None:
        end = self._server.ends[self._timeline]
        if self._at >= end:
            if self._timeline + 1 in self._server.ends:
                raise EndOfTimeline(timeline=self._timeline + 1, at=end)
            return None
        upto = min(self._at + self._server.step, end)
        piece = WalPiece(start=self._at, data=WAL[self._at - START : upto - START], server_end=end)
        self._at = upto
        return piece

    def acknowledge(self, lsn: Lsn) -> None:
        self._server.acknowledged.append(lsn)

    def close(self) -> None:
        return None


class Server(SmallSource):
    """A primary whose timelines end at ``ends``."""

    def __init__(self, ends: dict[int, Lsn], *, step: int = 3000) -> None:
        super().__init__({})
        self.ends, self.step = ends, step
        self.acknowledged: list[Lsn] = []
        self.kept: Lsn | None = START
        self.asked_from: list[tuple[int, Lsn]] = []
        self.recovering = False

    def facts(self) -> SourceFacts:
        found = super().facts()
        return msgspec.structs.replace(found, recovering=self.recovering, timeline=max(self.ends), position=START)

    def wal(self, *, timeline: int, start: Lsn, slot: str = "") -> Stream:  # type: ignore[override]
        self.asked_from.append((timeline, start))
        return Stream(self, timeline, start)

    def history(self, timeline: int) -> bytes:
        return b"1\t0/14000\tpromoted\n" if timeline == 2 else b""

    def ensure_slot(self, slot: str) -> Lsn | None:
        return self.kept

    def drop_slot(self, slot: str) -> None:
        self.kept = START


def host_seal(world: SmallWorld, site: str = "alpha") -> SealKey:
    """With what the site's host signs, as the operator's key gives it."""
    return SealKey(world.seal.derived(f"wal of {site}"))


def run(
    world: SmallWorld, server: Server, *, until: Callable[[Shipped], bool], at_most_s: float = 60.0
) -> list[Shipped]:
    """Ships until a report is what was waited for, or is stopped after ``at_most_s``."""
    reports: list[Shipped] = []
    shipping = Shipping(
        fleet="shop", recipients=tuple(key.public for key in world.keys), stores=tuple(world.stores), slot="ship",
        interval_s=0.01, max_bytes=server.step, seal=host_seal(world),
    )  # fmt: skip

    async def go() -> None:
        stop = asyncio.Event()

        def report(shipped: Shipped) -> None:
            reports.append(shipped)
            if until(shipped):
                stop.set()

        asyncio.get_running_loop().call_later(at_most_s, stop.set)
        await asyncio.wait_for(ship(server, shipping, stop=stop, report=report), 90)

    asyncio.run(go())
    return reports


def held(world: SmallWorld, timeline: int = 1) -> dict[str, set[WalChunk]]:
    prefix = wal_prefix("shop", IDENTIFIER, timeline)
    found: dict[str, set[WalChunk]] = {}
    for store in world.stores:
        chunks = [parse_chunk(key.removeprefix(prefix), timeline) for key in store.objects if key.startswith(prefix)]
        found[store.traits.provider] = {chunk for chunk in chunks if chunk is not None}
    return found


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    return SmallWorld(SealKey.at(tmp_path / "seal.key"))


def test_all_of_it_arrives_and_opens(world: SmallWorld) -> None:
    end = START + len(WAL)
    server = Server({1: end})
    reports = run(world, server, until=lambda shipped: shipped.acknowledged == end)
    assert reports[-1].exposed_bytes == 0
    assert reach(counted(held(world)), START) == end
    plain = bytearray(len(WAL))
    prefix = wal_prefix("shop", IDENTIFIER, 1)
    for chunk in held(world)["beta"]:
        body = world.stores[1].objects[prefix + chunk.name][0]
        plain[chunk.start - START : chunk.end - START] = expand_noted(
            body, keys=world.keys[:1], what=chunk.name
        )[1]
    assert bytes(plain) == WAL


def test_nothing_is_acknowledged_that_one_provider_lacks(world: SmallWorld) -> None:
    end = START + len(WAL)
    world.stores[1].faults = [StoreFull("no room", where="s-beta"), *[Unreachable("silent", where="s-beta")] * 4]
    server = Server({1: end})
    checked: list[bool] = []

    def until(shipped: Shipped) -> bool:
        checked.append(reach(counted(held(world)), START) >= shipped.acknowledged)
        return shipped.acknowledged == end

    run(world, server, until=until)
    assert checked and all(checked)
    assert server.acknowledged == sorted(server.acknowledged)


def test_with_one_store_for_ever_gone_it_waits_and_can_be_stopped(world: SmallWorld) -> None:
    world.stores[1].read_only = True
    server = Server({1: START + len(WAL)})
    reports = run(world, server, until=lambda shipped: False, at_most_s=2.5)
    assert {shipped.acknowledged for shipped in reports} == {START}
    assert reports[-1].exposed_bytes == len(WAL) and "takes no writes" in reports[-1].failed["s-beta"]
    ages = [shipped.exposed_s for shipped in reports if shipped.exposed_s is not None]
    assert ages == sorted(ages) and ages[-1] > 1
    assert set(server.acknowledged) == {START}


def test_a_third_store_that_fails_holds_nobody_up(tmp_path: Path) -> None:
    world = SmallWorld(SealKey.at(tmp_path / "seal.key"), sites=("alpha", "beta", "gamma"))
    world.stores[2].read_only = True
    end = START + len(WAL)
    reports = run(world, Server({1: end}), until=lambda shipped: shipped.acknowledged == end)
    assert reports[-1].acknowledged == end
    assert not held(world)["gamma"]


def test_it_goes_on_where_two_providers_have_it(world: SmallWorld) -> None:
    middle, end = START + 12_000, START + len(WAL)
    run(world, Server({1: middle}), until=lambda shipped: shipped.acknowledged == middle)
    prefix = wal_prefix("shop", IDENTIFIER, 1)
    last = max(held(world)["alpha"])
    del world.stores[1].objects[prefix + last.name]
    again = Server({1: end}, step=5000)
    run(world, again, until=lambda shipped: shipped.acknowledged == end)
    assert again.asked_from == [(1, last.start)], "what only one provider has is sent again"
    assert reach(counted(held(world)), START) == end


def test_it_follows_a_promotion(world: SmallWorld) -> None:
    fork, end = 0x14000, START + len(WAL)
    server = Server({1: fork, 2: end})
    run(world, server, until=lambda shipped: shipped.timeline == 2 and shipped.acknowledged == end)
    assert server.asked_from == [(1, START), (2, fork)]
    assert reach(counted(held(world, 1)), START) == fork
    assert reach(counted(held(world, 2)), fork) == end
    key = wal_prefix("shop", IDENTIFIER, 2) + "00000002.history.zst.age"
    for store in world.stores:
        content = expand_noted(store.objects[key][0], keys=world.keys[1:], what=key)[1]
        assert content == server.history(2)


def test_a_lost_slot_is_made_again_and_said(world: SmallWorld) -> None:
    server = Server({1: START + 9000})
    server.kept = None
    reports = run(world, server, until=lambda shipped: shipped.acknowledged == START + 9000)
    assert reports[0].lost
    assert not reports[-1].lost


def test_a_standby_ships_nothing(world: SmallWorld) -> None:
    server = Server({1: START + 9000})
    server.recovering = True
    with pytest.raises(Refused):
        run(world, server, until=lambda shipped: True)
    assert not any(store.objects for store in world.stores)
