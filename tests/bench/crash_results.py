"""What is known of every crash point: one folder of lines, so that a run that was stopped goes on where it was.

A point of a move counts only once the ledger of the load that ran beside it was compared: ``stretch`` ties the two.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.e2e.crash_points import Point, Told

_CLEAN = ("lost", "duplicated", "unknown")


class Results:
    """``points.json`` once; then ``lane-N.jsonl``, one line a point or a compared stretch of load."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "claims").mkdir(parents=True, exist_ok=True)

    def put_points(self, points: tuple[Point, ...]) -> None:
        """All there are, in the order of the plans."""
        text = json.dumps([asdict(point) for point in points])
        (self.folder / "points.json").write_text(text)

    def points(self) -> list[Point]:
        """As they were put; empty when they were not yet."""
        path = self.folder / "points.json"
        return [Point(**one) for one in json.loads(path.read_text())] if path.exists() else []

    def told(self, lane: int, told: Told, *, stretch: str) -> None:
        """One point's end; ``stretch`` is empty for a story without a load."""
        line = {**asdict(told), "point": str(told.point), "verb": told.point.verb, "stretch": stretch}
        self._add(lane, line)

    def compared(self, lane: int, stretch: str, **figures: Any) -> None:
        """The ledger of a stretch against the rows."""
        self._add(lane, {"compared": stretch, **figures})

    def lines(self) -> list[dict[str, Any]]:
        """Every line of every lane, oldest first."""
        found = []
        for path in sorted(self.folder.glob("lane-*.jsonl")):
            text = path.read_text()
            found += [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return sorted(found, key=lambda line: float(line["at_s"]))

    def known(self) -> dict[str, dict[str, Any]]:
        """Point -> its last line, of those that count: without a load, or with a load that was compared."""
        lines = self.lines()
        compared = {line["compared"] for line in lines if "compared" in line}
        counted = [line for line in lines if "point" in line and (not line["stretch"] or line["stretch"] in compared)]
        return {line["point"]: line for line in counted}

    def loads(self) -> list[dict[str, Any]]:
        """Every comparison of a ledger."""
        return [line for line in self.lines() if "compared" in line]

    def passed(self) -> set[str]:
        """Points that arrived: they are not struck again."""
        return {name for name, line in self.known().items() if not line["wrong"]}

    def claim(self, number: int) -> bool:
        """This lane takes point ``number``; false when another has."""
        try:
            os.close(os.open(self.folder / "claims" / str(number), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def claimed(self) -> set[int]:
        """Points that some lane has taken."""
        return {int(path.name) for path in (self.folder / "claims").iterdir()}

    def forget_claims(self) -> None:
        """A run begins, and no lane of another is at work."""
        for path in (self.folder / "claims").iterdir():
            path.unlink()

    def _add(self, lane: int, line: dict[str, Any]) -> None:
        with (self.folder / f"lane-{lane}.jsonl").open("a") as file:
            file.write(json.dumps({**line, "at_s": time.time()}) + "\n")


def sound(figures: dict[str, Any]) -> bool:
    """A compared ledger with nothing wrong in it."""
    return not any(figures[name] for name in _CLEAN)
