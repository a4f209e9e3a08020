"""``crashpoints``: every verb struck at every point that its plan has. ``--runs N`` takes a seeded sample of N."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.bench.lines import contender, say, spread, verdict
from tests.e2e.crash_points import Point, Told, sample
from tests.e2e.crash_stories import Stories, ask_first, deploy_points, tell_deploy
from tests.e2e.harness import ROOT, LocalFleet
from tests.e2e.load import Load, wired_of

ALL = 1_000_000
_SEED = 4
_BLOCK, _DEPLOY_BLOCK = 147, 148


def crashpoints(runs: int, *, contest: bool) -> int:
    """Every point, moves under load: the same end state, nothing lost, nothing done twice, nothing left running."""
    del contest
    with tempfile.TemporaryDirectory(prefix="crash") as folder:
        base = Path(folder)
        one = LocalFleet(base / "fleet", block=_BLOCK)
        one.folder.mkdir()
        one.init()
        ask_first(one)
        try:
            one.deploy()
            one.wait_protected()
            moved, found = strike_moves(one, runs, base)
        finally:
            one.run("destroy", "--yes", status=None)
            one.end()
        told = [*moved.told, *strike_deploys(found, base)]
    return summary(told, moved)


class Moved:
    """What was struck on the one fleet, and what the load's ledger says of it."""

    def __init__(self) -> None:
        self.found = self.acknowledged = self.lost = self.duplicated = self.unknown = 0
        self.told: list[Told] = []


def strike_moves(one: LocalFleet, runs: int, base: Path) -> tuple[Moved, list[Point]]:
    """Points of moves, on one fleet under load; and the chosen points of a deploy, which need fleets of their own."""
    moved = Moved()
    (base / "plan").mkdir()
    wired = wired_of(one)
    try:
        stories = Stories(one, wired)
        found = (*stories.points(), *deploy_points(base / "plan", block=_DEPLOY_BLOCK))
        chosen = sample(found, runs, seed=_SEED)
        moved.found = len(found)
        with Load(one, base / "load") as load:
            for point in (point for point in chosen if point.verb != "deploy"):
                moved.told.append(_said(_told(stories, point, one), len(chosen)))
                if not moved.told[-1].statuses:
                    break  # what came after a fleet that does not settle would say nothing
            stored = load.finish()
        moved.acknowledged = stored.acknowledged
        moved.lost, moved.duplicated, moved.unknown = len(stored.lost), len(stored.duplicated), len(stored.unknown)
    finally:
        wired.close()
    return moved, [point for point in chosen if point.verb == "deploy"]


def _told(stories: Stories, point: Point, one: LocalFleet) -> Told:
    """The story, or that the fleet did not settle after it; its logs are kept then."""
    try:
        return stories.tell(point)
    except AssertionError as missing:
        kept = ROOT / ".failover" / "crashpoints" / time.strftime("%Y%m%dT%H%M%S")
        for log in one.state.glob("sites/*/log/*.log"):
            (kept / log.parts[-3]).mkdir(parents=True, exist_ok=True)
            shutil.copy(log, kept / log.parts[-3] / log.name)
        return Told(point=point, reached=True, statuses=[], seconds=0.0, wrong=[f"{missing}; its logs are in {kept}"])


def strike_deploys(points: list[Point], base: Path) -> list[Told]:
    """Each on a fleet of its own, from nothing to nothing."""
    told = []
    for number, point in enumerate(points):
        (base / f"deploy-{number}").mkdir()
        told.append(_said(tell_deploy(point, base / f"deploy-{number}", block=_DEPLOY_BLOCK), len(points)))
    return told


def _said(told: Told, of: int) -> Told:
    end = "; ".join(told.wrong) or ("as it should" if told.reached else "not reached")
    say(f"(of {of}) {told.point}: exit {told.statuses}, {told.seconds:.1f} s, {end}")
    return told


def summary(told: list[Told], moved: Moved) -> int:
    """The lines of the benchmark."""
    wrong = [one for one in told if one.wrong]
    for one in wrong:
        say(f"WRONG {one.point}: {'; '.join(one.wrong)}")
    contender(
        "failover", points=moved.found, struck=len(told), reached=sum(one.reached for one in told),
        arrived=len(told) - len(wrong), lost=moved.lost, duplicated=moved.duplicated, unknown=moved.unknown,
        acknowledged=moved.acknowledged, seconds=spread([one.seconds for one in told]),
        struck_by_verb=dict(Counter(one.point.verb for one in told)),
    )  # fmt: skip
    held = not wrong and not moved.lost and not moved.duplicated and any(one.reached for one in told)
    limit = f"{len(told)} of {len(told)} arrive, 0 lost, 0 twice"
    return verdict("crashpoints", ours=len(told) - len(wrong), theirs=None, limit=limit, held=held)
