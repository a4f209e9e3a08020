"""One lane of ``crashpoints``: a fleet of its own, under load, on which points are struck one after the other.

``python -m tests.bench.crash_lane FOLDER LANE BLOCK``: takes points that no other lane has taken until none are left.
A point is chosen by who is primary now, so that no move is made only to come to where a story begins.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.bench.crash_results import Results
from tests.e2e.crash_points import Point, Told
from tests.e2e.crash_stories import Stories, ask_first, deploy_points
from tests.e2e.deploy_stories import DeployStories
from tests.e2e.harness import LocalFleet, keep_logs
from tests.e2e.load import Load, wired_of

WRITES_PER_S, READS_PER_S = 6.0, 3.0
STRETCH = 40
"""Points under one load; then its ledger is compared, and a run that is stopped begins with the next."""
_BROKEN = 3
_COMPANY = 6


class Lane:
    """``run`` until nothing is left. A fleet that does not settle is thrown away, with its logs kept."""

    def __init__(self, results: Results, number: int, block: int, base: Path) -> None:
        self._results = results
        self._number = number
        self._block = block
        self._base = base
        self._points = results.points()
        self._left = {index for index, point in enumerate(self._points) if str(point) not in results.passed()}
        self._mine: set[int] = set()
        self._alone: set[int] = set()
        self._broken = 0
        self._ending = False

    def end(self, *_: object) -> None:
        """Finish the point at hand, compare, take the fleet down."""
        self._ending = True

    def run(self) -> int:
        """0, or 1 when fleets break again and again."""
        while not self._over() and self.next_of(None) is not None:
            with new_fleet(self._base / f"fleet-{time.monotonic_ns()}", self._block) as one:
                while not self._over() and self.next_of(None) is not None and self._stretch(one):
                    continue
        deploys = DeployStories(self._base / "deploy", block=self._block)
        while not self._over() and (index := self.next_of("deploy")) is not None:
            if self.take(index):
                for told in self.deploy(index, deploys):
                    self._results.told(self._number, told, stretch="")
        return int(self._broken >= _BROKEN)

    def _stretch(self, one: LocalFleet) -> bool:
        """Points under one load; false when the fleet is not to be used any more."""
        wired = wired_of(one)
        name = f"{self._number}-{time.strftime('%Y%m%dT%H%M%S')}"
        try:
            stories = Stories(one, wired)
            with Load(one, self._base / "load" / name, writes_per_s=WRITES_PER_S, reads_per_s=READS_PER_S) as load:
                whole, struck = True, 0
                while whole and struck < STRETCH and not self._over():
                    index = self.next_of(None, primary=stories.primary())
                    if index is None:
                        break
                    if not self.take(index):
                        continue
                    struck += 1
                    for told in self.strike(index, stories):
                        whole = whole and bool(told.statuses)
                        if not told.statuses:
                            told.wrong.append(f"its logs are in {keep_logs(one, self._results.folder)}")
                        self._results.told(self._number, told, stretch=name)
                    self._broken += not whole
                stored = load.finish()
            self._results.compared(
                self._number, name, acknowledged=stored.acknowledged, lost=list(stored.lost),
                duplicated=list(stored.duplicated), unknown=list(stored.unknown),
            )  # fmt: skip
        finally:
            wired.close()
        return whole

    def strike(self, index: int, stories: Stories) -> list[Told]:
        """The story of this point; of a keeper, all its points that are left, as far as one story goes."""
        point = self._points[index]
        if not point.verb.startswith("keeper-"):
            return _guarded(point, lambda: [stories.tell(point)])
        alike = [one for one in sorted(self._left) if _same_keeper(self._points[one], point) and self._claim(one)]
        self._mine |= {index, *alike}
        told = _guarded(point, lambda: stories.sweep([self._points[one] for one in (index, *alike)]))
        ended = {str(one.point) for one in told}
        # The next story of this keeper comes further.
        self._left = {one for one in self._left | {index} if str(self._points[one]) not in ended}
        return told

    def deploy(self, index: int, deploys: DeployStories) -> list[Told]:
        """The story of this point; of an agent's death, with others at other steps, and alone if that goes wrong."""
        point = self._points[index]
        steps, group = {_step(point)}, [index]
        for other in sorted(self._left) if _in_company(point) and index not in self._alone else ():
            one = self._points[other]
            fits = _in_company(one) and _step(one) not in steps and other not in self._alone
            if fits and len(group) < _COMPANY and self._claim(other):
                steps.add(_step(one))
                group.append(other)
        if len(group) == 1:
            return _guarded(point, lambda: [deploys.tell(point)])
        told = _guarded(point, lambda: deploys.sweep([self._points[one] for one in group]))
        if any(one.wrong for one in told):
            self._mine |= {*group}
            self._alone |= {*group}
            self._left |= {*group}
            return []
        self._left -= {*group}
        return told

    def _over(self) -> bool:
        return self._ending or self._broken >= _BROKEN

    def next_of(self, verb: str | None, *, primary: str = "") -> int | None:
        """The first point left of ``verb`` (``None``: of any move), best one that begins with this ``primary``."""
        self._left -= self._results.claimed() - self._mine
        fit = [index for index in sorted(self._left) if (self._points[index].verb == "deploy") == (verb == "deploy")]
        suited = [index for index in fit if (self._points[index].verb == "failback") == (primary == "beta")]
        return next(iter(suited or fit), None)

    def take(self, index: int) -> bool:
        """This lane has the point, and no other will."""
        self._left.discard(index)
        return self._claim(index)

    def _claim(self, index: int) -> bool:
        return index in self._mine or self._results.claim(index)


def _step(point: Point) -> str:
    return point.at.split("/")[0]


def _in_company(point: Point) -> bool:
    """Its story may have others in it: an agent dies, while the command goes on."""
    return point.verb == "deploy" and not point.then and not point.at.startswith("stack-")


def _same_keeper(one: Point, other: Point) -> bool:
    return (one.verb, one.victims) == (other.verb, other.victims)


def _guarded(point: Point, tell: Callable[[], list[Told]]) -> list[Told]:
    """The story; or that it did not come to its end, which is told with no status at all."""
    began = time.monotonic()
    try:
        return tell()
    except Exception as missing:  # noqa: BLE001 - whatever it is, this point did not arrive, and the others are struck
        said = f"{type(missing).__name__}: {missing}"[-1500:]
        return [Told(point=point, reached=True, statuses=[], seconds=time.monotonic() - began, wrong=[said])]


@contextlib.contextmanager
def new_fleet(folder: Path, block: int) -> Iterator[LocalFleet]:
    """A protected fleet where promotions are asked for; gone afterwards."""
    folder.mkdir(parents=True)
    one = LocalFleet(folder, block=block)
    one.init()
    ask_first(one)
    with one.standing():
        yield one


def clear(note: Path) -> None:
    """End what a lane of before left behind when it was killed itself; ``note`` says where it worked."""
    base = Path(note.read_text()) if note.exists() else None
    if base is None or not base.exists():
        return
    for file in base.glob("**/fleet.yaml"):
        LocalFleet(file.parent, block=0).end()
    shutil.rmtree(base, ignore_errors=True)


def enumerate_all(base: Path, block: int) -> tuple[Point, ...]:
    """Every point, from the plans of a fleet that stands and of one that does not yet."""
    (base / "plan").mkdir(parents=True)
    with new_fleet(base / "first", block) as one:
        wired = wired_of(one)
        try:
            found = Stories(one, wired).points()
        finally:
            wired.close()
    return (*found, *deploy_points(base / "plan", block=block))


def main() -> int:
    """Command line: FOLDER LANE BLOCK."""
    parser = argparse.ArgumentParser(prog="tests.bench.crash_lane")
    parser.add_argument("folder", type=Path)
    parser.add_argument("lane", type=int)
    parser.add_argument("block", type=int)
    asked = parser.parse_args()
    clear(asked.folder / f"lane-{asked.lane}.base")
    with tempfile.TemporaryDirectory(prefix=f"crash{asked.lane}-") as base:
        (asked.folder / f"lane-{asked.lane}.base").write_text(base)
        lane = Lane(Results(asked.folder), asked.lane, asked.block, Path(base))
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lane.end)
        return lane.run()


if __name__ == "__main__":
    sys.exit(main())
