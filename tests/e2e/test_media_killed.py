"""A fleet with stores loses the site its pictures are sent to, in the middle of the load."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.harness import LocalFleet
from tests.e2e.media import kill_the_source

pytestmark = [pytest.mark.e2e, pytest.mark.long]


@pytest.fixture
def stores_fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    one = LocalFleet(tmp_path_factory.mktemp("media"), block=51)
    one.init("--stores")
    with one.standing():
        yield one


@pytest.mark.timeout(300)
def test_no_picture_is_broken_when_the_source_dies_and_the_list_of_the_rest_is_exact(stores_fleet: LocalFleet) -> None:
    outcome = kill_the_source(stores_fleet)
    assert outcome.acknowledged > 50
    assert outcome.not_in_database == set()
    assert outcome.unserved_old == set()
    assert outcome.truth, "nothing was on its way, so the list proves nothing"
    assert outcome.listed == outcome.truth
    assert outcome.unserved <= outcome.listed
