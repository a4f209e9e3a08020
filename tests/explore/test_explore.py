"""Every world within small bounds is sound, and each law switched off is caught by a schedule of its own."""

from __future__ import annotations

import pytest

from tests.explore.deciding import Decider
from tests.explore.scenarios import LAWS, SOUND, explore
from tests.explore.search import lines

pytestmark = pytest.mark.timeout(600)  # a busy machine: the searches count their own processor time


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_lost_within_the_bounds(name: str) -> None:
    found = explore(SOUND[name], Decider())
    assert not found.why, "\n".join((found.why, *lines(found.schedule)))
    assert found.complete and found.states > 1000


@pytest.mark.parametrize("law", LAWS)
def test_a_law_switched_off_is_caught(law: str) -> None:
    bounds = LAWS[law]
    found = explore(bounds, Decider(off=frozenset({law})), limit=400_000)
    assert found.why, f"{found.states} worlds and no violation without {law}"
    assert found.schedule


def test_a_schedule_reads_as_lines() -> None:
    found = explore(LAWS["A1 duplicate"], Decider(off=frozenset({"A1 duplicate"})))
    assert lines(found.schedule) == [
        " 1 writes: a 1",
        " 2 ends the wait of: a 1",
        " 3 answers a retry of: a 1",
    ]
