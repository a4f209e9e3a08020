"""``crashpoints``: moves struck at every point that their plans have. ``--runs N`` takes a seeded sample of N."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from failover.operations.verbs import SwitchoverWish
from tests.bench.lines import contender, say, spread, verdict
from tests.bench.moves import fleet, other
from tests.e2e.crash_points import Point, Told, enumerate_points, judge, left_over, plan_of, sample, settled, strike
from tests.e2e.harness import LocalFleet
from tests.e2e.load import Load, wired_of

ALL = 1_000_000
_SEED = 4


def strike_moves(one: LocalFleet, points: list[Point]) -> list[Told]:
    """Each point in turn, from whichever side is primary to the other; what is wrong stands in each ``Told``."""
    told = []
    wired = wired_of(one)
    try:
        for number, point in enumerate(points):
            before = settled(wired).record
            assert before is not None
            target = other(before.primary_site)
            words = ("switchover", "--to", target)
            here = _mirrored(point, before.primary_site)
            result = strike(one, here, *words, "--yes")
            after = settled(wired).record
            assert after is not None
            result.wrong = judge(result, before, after, target=target) + left_over(one)
            told.append(result)
            end = "; ".join(result.wrong) or ("as it should" if result.reached else "not reached")
            say(f"{number + 1}/{len(points)} {here}: exit {result.statuses}, {result.seconds:.1f} s, {end}")
    finally:
        wired.close()
    return told


def _mirrored(point: Point, primary: str) -> Point:
    """Points were made for a move away from alpha; from beta the sites change places."""
    if primary == "alpha":
        return point
    swap = {"alpha": "beta", "beta": "alpha"}

    def turned(text: str, mark: str) -> str:
        return mark.join(swap.get(word, word) for word in text.split(mark))

    step, phase = point.at.split("/")
    return Point(
        verb=point.verb, at=f"{turned(step, '-')}/{phase}", victims=turned(point.victims, ","),
        then=point.then, committing=point.committing,
    )  # fmt: skip


def crashpoints(runs: int, *, contest: bool) -> int:
    """Every point of a switchover, under load; the same end state, nothing lost, nothing done twice."""
    del contest
    with fleet(140) as one, tempfile.TemporaryDirectory(prefix="crash") as folder:
        wired = wired_of(one)
        try:
            found = enumerate_points(plan_of(wired, SwitchoverWish("beta")))
        finally:
            wired.close()
        with Load(one, Path(folder)) as load:
            told = strike_moves(one, sample(found, runs, seed=_SEED))
            stored = load.finish()
    return summary("crashpoints", found, told, lost=len(stored.lost), duplicated=len(stored.duplicated),
                   acknowledged=stored.acknowledged)  # fmt: skip


def summary(
    name: str, found: tuple[Point, ...], told: list[Told], *, lost: int, duplicated: int, acknowledged: int
) -> int:
    """The lines of a benchmark for what was struck."""
    wrong = [one for one in told if one.wrong]
    reached = [one for one in told if one.reached]
    for one in wrong:
        say(f"WRONG {one.point}: {'; '.join(one.wrong)}")
    contender(
        "failover", points=len(found), struck=len(told), reached=len(reached), arrived=len(told) - len(wrong),
        lost=lost, duplicated=duplicated, acknowledged=acknowledged, seconds=spread([one.seconds for one in told]),
        by_verb=dict(Counter(one.point.verb for one in told)),
    )  # fmt: skip
    held = not wrong and bool(reached) and not lost and not duplicated
    limit = f"{len(told)} of {len(told)} arrive, 0 lost, 0 twice"
    return verdict(name, ours=len(told) - len(wrong), theirs=None, limit=limit, held=held)
