"""What every benchmark prints: a JSON line per contender and a last line with the verdict (CONTRACT section 4)."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from typing import Any


def say(text: str) -> None:
    """Progress, for people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def contender(name: str, **figures: Any) -> None:
    """One line per contender."""
    print(json.dumps({"contender": name, **figures}), flush=True)


def spread(values: Sequence[float]) -> dict[str, float]:
    """Minimum, median, maximum and how many."""
    if not values:
        return {"runs": 0}
    ordered = sorted(values)
    return {
        "runs": len(ordered),
        "min": round(ordered[0], 3),
        "p50": round(statistics.median(ordered), 3),
        "max": round(ordered[-1], 3),
    }


def verdict(name: str, *, ours: float, theirs: float | None, limit: str, held: bool) -> int:
    """The last line; returns the exit status: 0 held, 4 missed."""
    ratio = None if theirs is None or not ours else round(theirs / ours, 2)
    line = {
        "schema": "failover/bench/v1", "name": name, "ours": round(ours, 3),
        "theirs": None if theirs is None else round(theirs, 3), "ratio": ratio, "limit": limit, "held": held,
    }  # fmt: skip
    print(json.dumps(line), flush=True)
    return 0 if held else 4
