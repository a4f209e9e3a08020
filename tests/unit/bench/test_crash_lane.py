"""A lane tells each of its points once: keepers' acts by the story that comes to them, agents' deaths in company."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from tests.bench.crash_lane import Lane
from tests.bench.crash_results import Results
from tests.e2e.crash_points import Point, Told
from tests.e2e.crash_stories import Stories
from tests.e2e.deploy_stories import DeployStories


def point(verb: str, at: str, victims: str, then: str = "") -> Point:
    return Point(verb=verb, at=at, victims=victims, then=then, committing=0)


def told(one: Point, *, reached: bool = True, wrong: tuple[str, ...] = ()) -> Told:
    return Told(point=one, reached=reached, statuses=[0], seconds=1.0, wrong=list(wrong))


class Keeper:
    """Comes to ``swap`` first, then to ``stop``, and to nothing else."""

    def sweep(self, points: list[Point]) -> list[Told]:
        for act in ("swap", "stop"):
            if found := [one for one in points if one.at.startswith(act)]:
                return [told(found[0])]
        return [told(one, reached=False) for one in points]


class Deploys:
    """A story in which beta dies at its enrolment goes wrong."""

    def __init__(self) -> None:
        self.stories: list[list[str]] = []

    def tell(self, one: Point) -> Told:
        return self.sweep([one])[0]

    def sweep(self, points: list[Point]) -> list[Told]:
        self.stories.append([str(one) for one in points])
        bad = any(one.victims == "beta" for one in points)
        return [told(one, wrong=("it does not settle",) if bad else ()) for one in points]


def lane_of(folder: Path, *points: Point) -> tuple[Lane, Results]:
    results = Results(folder)
    results.put_points(points)
    return Lane(results, 0, 1, folder), results


def test_acts_of_a_keeper_are_told_as_it_comes_to_them(tmp_path: Path) -> None:
    acts = ("create/before", "stop/before", "swap/after", "seed/after")
    lane, _ = lane_of(tmp_path, *(point("keeper-rejoin", at, "returning") for at in acts))
    ended: list[tuple[str, bool]] = []
    while (index := lane.next_of(None)) is not None:
        assert lane.take(index)
        ended += [(one.point.at, one.reached) for one in lane.strike(index, cast(Stories, Keeper()))]
    assert ended == [("swap/after", True), ("stop/before", True), ("create/before", False), ("seed/after", False)]


def test_deaths_of_agents_share_a_deploy_and_are_told_alone_when_it_goes_wrong(tmp_path: Path) -> None:
    good = [point("deploy", f"{step}/sent", "gamma") for step in ("record", "primary", "migrate")]
    bad = point("deploy", "enrol-beta/sent", "beta")
    alone = [point("deploy", "stack-beta/sent", "gamma"), point("deploy", "record/sent", "cli", "resume")]
    lane, _ = lane_of(tmp_path, *good, bad, *alone)
    deploys, ended = Deploys(), dict[str, bool]()
    while (index := lane.next_of("deploy")) is not None:
        assert lane.take(index)
        for one in lane.deploy(index, cast(DeployStories, deploys)):
            assert str(one.point) not in ended
            ended[str(one.point)] = not one.wrong
    assert ended == {**{str(one): True for one in (*good, *alone)}, str(bad): False}
    assert [len(story) for story in deploys.stories] == [4, 1, 1, 1, 1, 1, 1]


def test_a_point_that_begins_with_this_primary_comes_first(tmp_path: Path) -> None:
    points = [point(verb, "hold/sent", "cli", "undo") for verb in ("switchover", "failback")]
    lane, results = lane_of(tmp_path, *points)
    assert (lane.next_of(None, primary="alpha"), lane.next_of(None, primary="beta")) == (0, 1)
    assert results.claim(0), "another lane took it"
    assert lane.next_of(None, primary="alpha") == 1
