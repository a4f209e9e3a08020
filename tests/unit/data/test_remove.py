"""A removal that was cut off anywhere leaves nothing that is taken for a snapshot, and the next one finishes it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from failover.data.databases import databases, timelines
from failover.data.remove import left, old_chunks, remove, remove_keys
from failover.errors import Unreachable
from failover.trust.seal import SealKey
from tests.unit.data.small_world import IDENTIFIER, SmallWorld


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    return SmallWorld(SealKey.at(tmp_path / "seal.key"))


def put(world: SmallWorld, key: str, *, stores: int = 2) -> None:
    for store in world.stores[:stores]:
        asyncio.run(store.put(key, b"x", deadline_s=1))


@pytest.mark.parametrize("after", range(12))
def test_cut_off_after_each_call(world: SmallWorld, after: int) -> None:
    taken = world.take().manifest.id
    calls = 0

    for store in world.stores:
        for name in ("put", "delete"):
            real = getattr(store, name)

            async def counted(*words: object, real: object = real, **more: object) -> object:
                nonlocal calls
                calls += 1
                if calls > after:
                    raise KeyboardInterrupt  # the process is gone
                return await real(*words, **more)  # type: ignore[operator]

            setattr(store, name, counted)
    try:
        asyncio.run(remove(world.stores, "shop", IDENTIFIER, taken))
    except KeyboardInterrupt:
        assert after < 12
    for store in world.stores:
        del store.put, store.delete  # type: ignore[attr-defined]
    catalog = world.catalog()
    # Whole and unmarked in both stores, or never again a snapshot that something could be restored from or built on.
    assert all(entry.removing or len(entry.stores) == 2 for entry in catalog.entries)
    asyncio.run(remove(world.stores, "shop", IDENTIFIER, taken))
    assert asyncio.run(left(world.stores, "shop", IDENTIFIER, taken)) == {}
    assert all(not store.objects for store in world.stores)


def test_only_what_ends_before_goes(world: SmallWorld) -> None:
    prefix = f"shop/{IDENTIFIER}/wal/00000001/"
    chunks = ["0000000000000000-0000000000000100", "0000000000000100-0000000000000200"]
    for chunk in chunks:
        put(world, f"{prefix}{chunk}.zst.age")
    put(world, f"{prefix}00000001.history.zst.age")
    keys = asyncio.run(old_chunks(world.stores, "shop", IDENTIFIER, 1, 0x100))
    assert asyncio.run(remove_keys(world.stores, keys)) == 2
    assert all(len(store.objects) == 2 for store in world.stores)
    assert f"{prefix}{chunks[1]}.zst.age" in world.stores[0].objects


def test_databases_and_timelines_are_found_without_listing_all(world: SmallWorld) -> None:
    put(world, "shop/probe-1")
    put(world, "shop/7/base/x/y", stores=1)
    put(world, "shop/70/base/x/y")
    put(world, "shop/media/x")
    put(world, "shop2/8/base/x/y")
    for timeline in (1, 2, 26):
        for chunk in range(50):
            put(world, f"shop/70/wal/{timeline:08X}/{chunk:016X}-{chunk + 1:016X}.zst.age")
    found = asyncio.run(databases(world.stores, "shop"))
    assert found.identifiers == ("7", "70") and not found.unreachable
    assert asyncio.run(timelines(world.stores, "shop", "70")) == (26, 2, 1)
    world.stores[0].faults = [Unreachable("silent")]
    found = asyncio.run(databases(world.stores, "shop"))
    assert found.identifiers == ("70",) and list(found.unreachable) == ["s-alpha"]
