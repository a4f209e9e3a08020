"""Breadth-first search over every reachable world, and the shortest schedule to one that breaks an invariant."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.explore import world as w
from tests.explore.moves import Broken
from tests.explore.world import World

Successors = Callable[[World], Iterator[tuple[Any, World]]]


class Found(NamedTuple):
    """``states``: distinct worlds; ``complete``: every one within the bounds was visited; ``why`` and ``schedule``: the
    first violation and how to get there, as events in order; ``cpu_s``: processor seconds."""

    states: int
    complete: bool
    why: str
    schedule: tuple[Any, ...]
    cpu_s: float
    seen: dict[World, tuple[World, Any] | None]


def violation(world: World) -> str:
    """Which invariant this world breaks, or ``""``."""
    record, promised, copies = world[w.REC], world[w.PROMISED], world[w.COPIES]
    able = []
    for site, copy in enumerate(copies):
        if copy[w.ST] == w.ABSENT:
            continue
        missing = promised & ~w.writes(copy[w.WAL])
        if missing and copy[w.ID] in record[w.SYNC] and len(copy[w.WAL]) >= record[w.FLUSHED]:
            return f"{w.NAMES[site]} may be promoted and lacks an acknowledged write"
        if missing and copy[w.ID] == record[w.PRIM] and copy[w.ST] == w.PRIMARY:
            return f"{w.NAMES[site]} is primary and lacks an acknowledged write"
        if copy[w.ST] == w.PRIMARY and w.covered(world, site, len(copy[w.WAL]) - 1):
            able.append(site)
    if len(able) > 1:
        return "two primaries acknowledge"
    return ""


def search(start: World, successors: Successors, *, limit: int) -> Found:
    """Visit worlds until all are seen, ``limit`` is reached or one is broken."""
    began = time.process_time()
    seen: dict[World, tuple[World, Any] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        try:
            for event, after in successors(world):
                if after in seen:
                    continue
                seen[after] = (world, event)
                why = violation(after)
                if why:
                    return Found(len(seen), False, why, path(seen, after), time.process_time() - began, seen)
                waiting.append(after)
        except Broken as broken:
            steps = (*path(seen, world), broken.args[1])
            return Found(len(seen), False, broken.args[0], steps, time.process_time() - began, seen)
        if len(seen) >= limit:
            return Found(len(seen), False, "", (), time.process_time() - began, seen)
    return Found(len(seen), True, "", (), time.process_time() - began, seen)


def path(seen: dict[World, tuple[World, Any] | None], end: World) -> tuple[Any, ...]:
    """The events that lead to ``end``, in order."""
    events = []
    at: World | None = end
    while at is not None:
        step = seen[at]
        if step is None:
            break
        at, event = step
        events.append(event)
    return tuple(reversed(events))


def lines(schedule: tuple[Any, ...]) -> list[str]:
    """A schedule as people read it, one event a line."""
    return [f"{number:2} {line(event)}" for number, event in enumerate(schedule, start=1)]


def line(event: tuple[Any, ...]) -> str:
    """One event."""
    what, *rest = event
    if rest and isinstance(rest[0], int):
        rest[0] = w.NAMES[rest[0]]
    return f"{what}: {' '.join(str(part) for part in rest)}"
