"""What a create leaves in the stores, whatever fails on the way."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from failover.data.copies import catch_up
from failover.data.further import Reader
from failover.data.restore import fetch
from failover.errors import Denied, StoreFull, Unreachable
from failover.trust.age import AgeKey
from failover.trust.seal import SealKey
from tests.unit.data.small_world import Bytes, SmallWorld, backup_tar


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    return SmallWorld(SealKey.at(tmp_path / "seal.key"))


def bodies(world: SmallWorld) -> list[dict[str, bytes]]:
    return [{key: body for key, (body, _) in store.objects.items()} for store in world.stores]


def test_the_same_bytes_lie_in_both_stores(world: SmallWorld) -> None:
    outcome = world.take()
    first, second = bodies(world)
    assert first == second
    assert len(first) == 4
    assert outcome.counts and not outcome.failed
    catalog = world.catalog()
    assert [entry.stores for entry in catalog.entries] == [("s-alpha", "s-beta")]
    assert [entry.providers for entry in catalog.entries] == [("alpha", "beta")]
    assert not catalog.orphans and not catalog.damaged


def test_no_plain_byte_is_in_any_store(world: SmallWorld) -> None:
    world.source.files["secret"] = b"a password that nobody may read" * 9
    world.take()
    assert all(b"a password" not in body for store in bodies(world) for body in store.values())


def test_it_comes_back_as_it_was(world: SmallWorld, tmp_path: Path) -> None:
    one = world.take()
    chain = world.catalog().chain(one.manifest.id)
    reader = Reader(stores=tuple(world.stores), keys=(world.keys[1],))
    asyncio.run(fetch(chain, reader, tmp_path / "work", [], phase=None))
    folder = tmp_path / "work" / one.manifest.id
    assert (folder / "base/1/2").read_bytes() == world.source.files["base/1/2"]
    assert (folder / "backup_manifest").read_bytes() == one.file_list
    assert (tmp_path / "work/wal/pg_wal/000000010000000000000001").stat().st_size == 64 * 1024


def test_a_store_that_fails_is_named_and_caught_up_without_a_key(world: SmallWorld) -> None:
    world.stores[1].faults = [StoreFull("no room left", where="s-beta")]
    outcome = world.take()
    assert outcome.stores == ("s-alpha",)
    assert "no room left" in outcome.failed["s-beta"]
    assert not outcome.counts
    entry = world.catalog().entries[0]
    assert entry.providers == ("alpha",)
    assert asyncio.run(catch_up(entry, {store.name: store for store in world.stores})) == {"s-beta": None}
    first, second = bodies(world)
    assert first == second
    assert world.catalog().entries[0].providers == ("alpha", "beta")


def test_a_lost_reply_is_asked_again(world: SmallWorld) -> None:
    world.source.quiet = False
    world.stores[0].lost_replies = 1
    outcome = world.take()
    assert "no answer" in outcome.failed["s-alpha"], "of a stream, which cannot be sent twice"
    assert outcome.manifest.why == ("no digests: no exact view of the database could be had",)


def test_what_begins_and_breaks_off_is_no_snapshot(world: SmallWorld) -> None:
    whole = backup_tar(world.source.files)
    for until in (0, 1000, len(whole) - 1024):
        world.source.stream = Bytes(whole, until=until, error=Unreachable("pg_basebackup was killed"))
        with pytest.raises(Unreachable, match="was killed"):
            world.take()
    assert bodies(world) == [{}, {}]


def test_without_its_manifest_it_is_an_orphan(world: SmallWorld) -> None:
    one = world.take()
    for store in world.stores:
        del store.objects[one.manifest.prefix + "snapshot.json"]
    catalog = world.catalog()
    assert not catalog.entries
    assert [(orphan.id, orphan.stores) for orphan in catalog.orphans] == [(one.manifest.id, ("s-alpha", "s-beta"))]


def test_a_store_that_is_silent_hides_nothing_of_the_other(world: SmallWorld) -> None:
    one = world.take()
    world.stores[0].faults = [Unreachable("silent", where="s-alpha")]
    catalog = world.catalog()
    assert [entry.manifest.id for entry in catalog.entries] == [one.manifest.id]
    assert catalog.entries[0].providers == ("beta",)
    assert "silent" in catalog.unreachable["s-alpha"]


def test_the_wrong_key_is_no_damage(world: SmallWorld, tmp_path: Path) -> None:
    one = world.take()
    reader = Reader(stores=tuple(world.stores), keys=(AgeKey.new(),))
    with pytest.raises(Denied, match="does not open"):
        asyncio.run(fetch(world.catalog().chain(one.manifest.id), reader, tmp_path / "work", [], phase=None))


def test_a_snapshot_of_another_fleet_is_not_taken_for_ours(world: SmallWorld, tmp_path: Path) -> None:
    world.take()
    world.seal = SealKey.at(tmp_path / "other.key")
    catalog = world.catalog()
    assert not catalog.entries
    assert all("not a key of this fleet" in said for said in catalog.damaged)
    assert len(catalog.damaged) == 2
