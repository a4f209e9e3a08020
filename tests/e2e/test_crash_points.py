"""Crash points, a seeded sample: struck anywhere, every run arrives. All of them: ``script/bench crashpoints``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover.operations.verbs import SwitchoverWish
from failover.operations.wired import Wired
from tests.e2e.crash_points import Point, enumerate_points, plan_of, sample
from tests.e2e.crash_stories import Stories
from tests.e2e.harness import LocalFleet
from tests.e2e.load import Load, wired_of

pytestmark = pytest.mark.e2e
_SEED = int(os.environ.get("FAILOVER_TEST_SEED", "20261125"))


@pytest.fixture
def wired(protected: LocalFleet) -> Iterator[Wired]:
    one = wired_of(protected)
    yield one
    one.close()


@pytest.mark.timeout(400)
def test_a_switchover_struck_at_any_point_arrives(protected: LocalFleet, wired: Wired, tmp_path: Path) -> None:
    stories = Stories(protected, wired)
    stories.be_primary("alpha")
    found = enumerate_points(plan_of(wired, SwitchoverWish("beta")))
    told = []
    with Load(protected, tmp_path) as load:
        for point in _spread(found, seed=_SEED):
            told.append(stories.tell(point))
        stored = load.finish()
    assert [f"{one.point}: {'; '.join(one.wrong)}" for one in told if one.wrong] == []
    assert sum(one.reached for one in told) >= len(told) // 2, "the strikes miss: nothing was tested"
    assert (stored.lost, stored.duplicated, stored.unknown) == ((), (), ())
    assert stored.acknowledged > 50


def _spread(found: tuple[Point, ...], *, seed: int) -> list[Point]:
    """Some from before, at and after the commit step, so that no sample misses a side."""
    sides = (tuple(point for point in found if point.committing == side) for side in (-1, 0, 1))
    return [point for side, count in zip(sides, (2, 2, 1), strict=True) for point in sample(side, count, seed=seed)]
