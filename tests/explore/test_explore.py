"""Every world within small bounds is sound, and each law switched off is caught by a schedule of its own."""

from __future__ import annotations

import pytest

from tests.explore.deciding import Decider
from tests.explore.scenarios import Bounds, explore
from tests.explore.search import lines

SOUND = {
    "reads and restarts": Bounds(writes=1, reads=1, crashes=1, nets=1),
    "a reply is lost or late": Bounds(writes=1, crashes=1, nets=1, replies=1),
}
LAWS = {
    "A1 gate": Bounds(writes=1, reads=1, crashes=1),
    "A1 duplicate": Bounds(writes=1, retries=1, cuts=1),
    "A2": Bounds(writes=1, cuts=1),
    "B1 sync only": Bounds(writes=1, crashes=1, nets=1),
    "B2 join": Bounds(writes=1, reads=1, crashes=1, nets=1),
    "B2 promote": Bounds(writes=1, crashes=1, nets=1),
    "C1 own": Bounds(writes=1, crashes=1, nets=1, replies=1),
}


@pytest.mark.parametrize("name", SOUND)
def test_nothing_is_lost_within_the_bounds(name: str) -> None:
    found = explore(SOUND[name], Decider())
    assert not found.why, "\n".join((found.why, *lines(found.schedule)))
    assert found.complete and found.states > 1000


@pytest.mark.parametrize("law", LAWS)
def test_a_law_switched_off_is_caught(law: str) -> None:
    found = explore(LAWS[law], Decider(off=frozenset({law})))
    assert found.why, f"{found.states} worlds and no violation without {law}"
    assert found.schedule
