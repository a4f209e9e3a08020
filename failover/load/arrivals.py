"""When requests are due: an endless, seeded schedule per kind of request. Pure; the same seed gives the same instants.

Open loop: the schedule knows nothing of answers, so a stall makes requests wait and be counted, never be left out.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from enum import StrEnum


class Schedule(StrEnum):
    """``fixed``: evenly spaced. ``poisson``: independent arrivals, as many unrelated people make them."""

    FIXED = "fixed"
    POISSON = "poisson"


def arrivals(schedule: Schedule, *, per_s: float, seed: str) -> Iterator[float]:
    """Seconds since the start at which requests are due, for ever, growing; none at all when ``per_s`` is 0."""
    if per_s <= 0:
        return
    generator = random.Random(f"arrivals:{seed}")
    if schedule is Schedule.FIXED:
        # A phase of its own, or writes and reads of equal rate would always leave in pairs.
        phase = generator.random() / per_s
        number = 0
        while True:
            yield phase + number / per_s
            number += 1
    due = 0.0
    while True:
        due += generator.expovariate(per_s)
        yield due
