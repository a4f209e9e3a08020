"""Every altered, cut, missing or exchanged object is found before anything starts, and who still has a good one."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest

from failover.data.further import Reader
from failover.data.restore import fetch
from failover.errors import Damaged
from failover.model.snapshot import MANIFEST
from failover.trust.seal import SealKey
from tests.unit.data.small_world import SmallWorld

SAMPLES = 130  # for each of four seeds


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> SmallWorld:
    made = SmallWorld(SealKey.at(tmp_path_factory.mktemp("seal") / "seal.key"))
    first = made.take()
    made.take(parent=first.manifest.id)
    return made


def look(world: SmallWorld, snapshot: str, work: Path, *, strict: bool) -> list[str]:
    """Fetch everything, s-alpha first; what was noted."""
    shutil.rmtree(work, ignore_errors=True)
    notes: list[str] = []
    chain = world.catalog().chain(snapshot)
    reader = Reader(stores=tuple(world.stores), keys=(world.keys[0],), strict=strict)
    asyncio.run(fetch(chain, reader, work, notes, phase=None))
    return notes


def spoil(random_: random.Random, objects: dict[str, tuple[bytes, object]], key: str, how: str) -> None:
    body, when = objects[key]
    if how == "missing":
        del objects[key]
    elif how == "cut":
        objects[key] = body[: random_.randrange(len(body))], when
    elif how == "exchanged":
        others = [other for other in objects if other != key and objects[other][0] != body]
        objects[key] = objects[random_.choice(others)][0], when
    else:
        at = random_.randrange(len(body))
        objects[key] = body[:at] + bytes([body[at] ^ (1 << random_.randrange(8))]) + body[at + 1 :], when


def test_undamaged_it_is_fetched(world: SmallWorld, tmp_path: Path) -> None:
    newest = world.catalog().entries[-1].manifest
    assert newest.parent or world.catalog().entries[0].manifest.parent
    for entry in world.catalog().entries:
        assert look(world, entry.manifest.id, tmp_path / "work", strict=True) == []


@pytest.mark.parametrize("seed", range(4))
def test_every_damage_is_found_and_named(world: SmallWorld, tmp_path: Path, seed: int) -> None:
    child = next(entry for entry in world.catalog().entries if entry.manifest.parent)
    alpha = world.stores[0]
    kept = dict(alpha.objects)
    random_ = random.Random(seed)
    for _ in range(SAMPLES):
        key, how = random_.choice(sorted(kept)), random_.choice(["flip", "flip", "cut", "missing", "exchanged"])
        spoil(random_, alpha.objects, key, how)
        try:
            with pytest.raises(Damaged) as found:
                look(world, child.manifest.id, tmp_path / "work", strict=True)
            assert key in found.value.message, (how, key)
            assert "s-beta still has a good copy" in found.value.message
            assert found.value.exit_status == 9
        finally:
            alpha.objects.clear()
            alpha.objects.update(kept)


def test_a_restore_goes_round_the_damage_and_says_so(world: SmallWorld, tmp_path: Path) -> None:
    child = next(entry for entry in world.catalog().entries if entry.manifest.parent)
    alpha = world.stores[0]
    kept = dict(alpha.objects)
    key = child.manifest.prefix + "data.tar.zst.age"
    alpha.flip(key, at=2000)
    notes = look(world, child.manifest.id, tmp_path / "work", strict=False)
    alpha.objects.update(kept)
    assert len(notes) == 1
    assert key in notes[0]


def test_damage_in_both_stores_says_that_none_is_left(world: SmallWorld, tmp_path: Path) -> None:
    entry = world.catalog().entries[0]
    key = entry.manifest.prefix + "data.tar.zst.age"
    kept = [dict(store.objects) for store in world.stores]
    for store in world.stores:
        store.flip(key, at=300)
    try:
        with pytest.raises(Damaged, match="no other store has a good copy"):
            look(world, entry.manifest.id, tmp_path / "work", strict=False)
    finally:
        for store, objects in zip(world.stores, kept, strict=True):
            store.objects.update(objects)


def test_two_different_manifests_are_noticed(world: SmallWorld) -> None:
    entry = world.catalog().entries[0]
    key = entry.manifest.prefix + MANIFEST
    kept = world.stores[1].objects[key]
    world.stores[1].objects[key] = (world.seal.seal(kept[0].split(b"\n")[0] + b" "), kept[1])
    try:
        catalog = world.catalog()
    finally:
        world.stores[1].objects[key] = kept
    assert any("another one than elsewhere" in said for said in catalog.damaged)
    assert catalog.entries[0].stores == ("s-alpha",)
