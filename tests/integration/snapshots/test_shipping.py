"""WAL of a real primary into two stores and back: everything acknowledged is in the restored copy."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from failover.data.further import Further
from failover.data.restore import restore
from failover.data.walship import Shipped, Shipping, ship
from failover.errors import Damaged, Unreachable
from failover.model.units import parse_lsn
from failover.ports.snapshot_source import SnapshotSource
from tests.integration.snapshots.conftest import FLEET, Copy, World

_DEADLINE_S = 60.0


def shipping(world: World, source: SnapshotSource, work: Callable[[], int]) -> Shipped:
    """Ships while ``work`` runs and until what it returned (an LSN) is acknowledged; the last report."""
    stop = asyncio.Event()
    reports: list[Shipped] = []
    order = Shipping(
        fleet=FLEET, recipients=world.writer.recipients, stores=world.writer.stores, slot="ship", interval_s=0.2
    )

    async def go() -> None:
        while not stop.is_set():
            try:
                await ship(source, order, stop=stop, report=reports.append)
            except Unreachable:
                await asyncio.sleep(0.1)  # as an agent does: a machine that stood still for 5 s was hung up on

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(go(),))
    thread.start()
    try:
        while not reports and thread.is_alive():
            time.sleep(0.02)
        wanted = work()
        until_s = time.monotonic() + _DEADLINE_S
        while reports[-1].acknowledged < wanted:
            assert time.monotonic() < until_s and thread.is_alive()
            time.sleep(0.02)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(_DEADLINE_S)
    return reports[-1]


def write(copy: Copy, first: int) -> int:
    """100 transactions; the LSN after the last."""
    with copy.session() as session:
        for row in range(first, first + 100):
            session.execute("insert into posts values (%s, 'shipped')", [row])
        row = session.execute("select pg_current_wal_flush_lsn()").fetchone()
    assert row is not None
    return parse_lsn(str(row[0]))


def restored_rows(world: World, snapshot: str, further: Further) -> int:
    found: list[int] = []
    scratch = world.scratch()

    def look() -> None:
        found.append(sum(digest.rows for digest in scratch.digests("app") if digest.table == "public.posts"))

    chain = world.catalog().chain(snapshot)
    into = world.folder / "copy"
    asyncio.run(restore(chain, world.reader(), scratch, into, lasting=False, wal=further, look=look))
    return found[0]


def test_everything_acknowledged_comes_back(world: World) -> None:
    ends: list[int] = []

    def work() -> int:
        one = world.take()
        world.lists["id"] = one.manifest.id.encode()
        ends.append(write(world.alpha, 100_000))
        ends.append(write(world.alpha, 200_000))
        return ends[-1]

    last = shipping(world, world.alpha.source, work)
    assert last.acknowledged >= ends[-1]
    snapshot = world.lists["id"].decode()
    assert restored_rows(world, snapshot, Further(timeline=1)) == 20_200
    assert restored_rows(world, snapshot, Further(timeline=1, to=ends[0])) == 20_100
    with pytest.raises(Damaged, match="ends at"):
        restored_rows(world, snapshot, Further(timeline=1, to=ends[-1] + (1 << 30)))
