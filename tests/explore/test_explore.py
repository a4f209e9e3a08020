"""Every world within small bounds is sound, and each law switched off is caught by a schedule of its own."""

from __future__ import annotations

import random

import pytest

from tests.explore import trio
from tests.explore.deciding import Decider
from tests.explore.heal import beyond_help, first_stuck, stuck
from tests.explore.scenarios import LAWS, SOUND, STUCK, explore
from tests.explore.search import lines, path

pytestmark = pytest.mark.timeout(600)  # a busy machine: the searches count their own processor time
WIDEST = "reads and restarts"


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_lost_within_the_bounds(name: str, visited: dict[str, tuple[int, float]]) -> None:
    found = explore(SOUND[name], Decider())
    assert not found.why, "\n".join((found.why, *lines(found.schedule)))
    # That all of them take at most 60 processor seconds is a figure of script/bench explore; here it is only shown.
    visited[name] = (found.states, found.cpu_s)
    assert found.complete and found.states >= (200_000 if name == WIDEST else 5_000)


@pytest.mark.parametrize("law", LAWS)
def test_a_law_switched_off_is_caught(law: str) -> None:
    bounds = LAWS[law]
    found = explore(bounds, Decider(off=frozenset({law})), limit=400_000)
    assert found.why, f"{found.states} worlds and no violation without {law}"
    assert found.schedule


def test_with_three_copies_every_listed_one_must_acknowledge(visited: dict[str, tuple[int, float]]) -> None:
    found = trio.explore(writes=2, deaths=2)
    visited["three copies"] = (found.states, found.cpu_s)
    assert not found.why, "\n".join((found.why, *lines(found.schedule)))
    assert found.complete and found.states >= 5_000


def test_b3_one_acknowledgement_of_two_is_caught() -> None:
    found = trio.explore(writes=1, deaths=1, any_one=True)
    assert found.why == "gamma may be promoted and lacks an acknowledged write"
    assert lines(found.schedule) == [" 1 writes: a", " 2 flushes: b", " 3 acknowledges: a 2"]


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


@pytest.mark.parametrize("law", STUCK)
def test_a_law_without_which_the_fleet_stays_down_is_caught(law: str) -> None:
    found = explore(STUCK[law], Decider(), limit=5_000)
    why, schedule = first_stuck(found, Decider(off=frozenset({law})))
    assert why and schedule, f"{found.states} worlds, and from each the fleet comes back without {law}"
    kept, _ = first_stuck(found, Decider(), most=500)
    assert not kept


def test_a_schedule_reads_as_lines() -> None:
    found = explore(LAWS["A1 duplicate"], Decider(off=frozenset({"A1 duplicate"})))
    assert lines(found.schedule) == [
        " 1 writes: a 1",
        " 2 ends the wait of: a 1",
        " 3 answers a retry of: a 1",
    ]
