"""Golden text of ``media``, and its exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from failover.errors import Unreachable
from tests.cli.conftest import Failover, _behind
from tests.cli.golden import same
from tests.fakes.media_world import MediaWorld, key_of
from tests.fakes.wired import memory

A, B, C = b"one", b"two", b"three"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MediaWorld:
    """Three objects: one in both stores, one only at north, one damaged at south."""
    found = MediaWorld(tmp_path)
    _behind(found.memory, monkeypatch)
    found.refer(A, B, C)
    found.hold(found.north, A, B, C)
    found.hold(found.south, A, C)
    return found


def damage(world: MediaWorld) -> None:
    world.south.flip(key_of(C))


def silence(world: MediaWorld) -> None:
    world.north.faults = [Unreachable("no connection", where="store north")]


def test_status_counts_what_a_store_lacks(world: MediaWorld, failover: Failover) -> None:
    same("media-status", failover("media", "status").text())
    assert world.held(world.south) == {A, C}


def test_sync_copies_it_and_the_next_status_is_clean(world: MediaWorld, failover: Failover) -> None:
    assert failover("media", "sync", "--dry-run").status == 4
    same("media-sync", failover("media", "sync").text())
    assert world.held(world.south) == {A, B, C}
    assert failover("media", "status").status == 0


def test_verify_names_a_damaged_copy_and_who_has_a_good_one(world: MediaWorld, failover: Failover) -> None:
    damage(world)
    same("media-verify", failover("media", "verify").text())


def test_a_silent_store_and_what_only_it_has(world: MediaWorld, failover: Failover) -> None:
    silence(world)
    same("media-status-silent", failover("media", "status").text())


def test_json_is_one_object_with_its_schema(world: MediaWorld, failover: Failover) -> None:
    said = failover("--json", "media", "status")
    told = json.loads(said.out)
    assert (said.status, told["schema"], told["verb"]) == (4, "failover/media/v1", "status")
    assert [store["missing"] for store in told["stores"]] == [0, 1]


def test_lost_is_damage_only_when_every_store_answers(world: MediaWorld, failover: Failover) -> None:
    world.north.objects.pop(key_of(B))
    assert failover("media", "status").status == 9


@pytest.mark.parametrize("words", [["media"], ["media", "verify", "--one-in", "0"]], ids="-".join)
def test_usage(words: list[str], world: MediaWorld, failover: Failover) -> None:
    same("-".join(words), failover(*words).text())


def test_a_fleet_without_stores_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failover: Failover) -> None:
    _behind(memory(tmp_path), monkeypatch)
    same("media-no-stores", failover("media", "status").text())
