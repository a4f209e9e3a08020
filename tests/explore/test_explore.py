"""Every world within small bounds is sound, and each law switched off is caught by a schedule of its own."""

from __future__ import annotations

import random

import pytest

from tests.explore.deciding import Decider
from tests.explore.heal import beyond_help, stuck
from tests.explore.scenarios import LAWS, SOUND, explore
from tests.explore.search import lines, path

pytestmark = pytest.mark.timeout(600)  # a busy machine: the searches count their own processor time


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_lost_within_the_bounds(name: str) -> None:
    found = explore(SOUND[name], Decider())
    assert not found.why, "\n".join((found.why, *lines(found.schedule)))
    # How many a second is a figure of script/bench explore, not of this test.
    assert found.complete and found.states >= (200_000 if name == "reads and restarts" else 5_000)


@pytest.mark.parametrize("law", LAWS)
def test_a_law_switched_off_is_caught(law: str) -> None:
    bounds = LAWS[law]
    found = explore(bounds, Decider(off=frozenset({law})), limit=400_000)
    assert found.why, f"{found.states} worlds and no violation without {law}"
    assert found.schedule


@pytest.mark.parametrize("name", ["a disk is wiped", "a planned move", "a disk goes back", "a stray start"])
def test_from_sampled_worlds_the_fleet_comes_back(name: str) -> None:
    decider = Decider()
    found = explore(SOUND[name], decider, limit=40_000)
    sample = random.Random(7).sample(list(found.seen), 1500)
    hopeful = [world for world in sample if not beyond_help(world)]
    assert len(hopeful) > 1000
    for world in hopeful:
        why = stuck(world, decider)
        assert not why, "\n".join((why, *lines(path(found.seen, world))))


def test_a_keeper_that_stands_down_for_ever_is_found_stuck() -> None:
    found = explore(SOUND["a planned move"], Decider(), limit=5_000)
    held = Decider(off=frozenset({"C2 budget"}))
    assert any(stuck(world, held) for world in found.seen)


def test_a_schedule_reads_as_lines() -> None:
    found = explore(LAWS["A1 duplicate"], Decider(off=frozenset({"A1 duplicate"})))
    assert lines(found.schedule) == [
        " 1 writes: a 1",
        " 2 ends the wait of: a 1",
        " 3 answers a retry of: a 1",
    ]
