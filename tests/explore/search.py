"""Breadth-first search over every reachable world, and the shortest schedule to one that breaks an invariant."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tests.explore import world as w
from tests.explore.moves import Broken
from tests.explore.world import World

Successors = Callable[[Any], Iterator[tuple[Any, Any]]]
"""The next worlds of one, each with the event that leads there. A world may be any value that can be a key."""


class Found(NamedTuple):
    """``states``: distinct worlds; ``complete``: every one within the bounds was visited; ``why`` and ``schedule``: the
    first violation and how to get there, as events in order; ``cpu_s``: processor seconds."""

    states: int
    complete: bool
    why: str
    schedule: tuple[Any, ...]
    cpu_s: float
    seen: dict[Any, tuple[Any, Any] | None]


def violation(world: World, floor: int = 0) -> str:
    """Which invariant this world breaks, or ``""``. No keeper follows a record of an epoch before ``floor``."""
    record, promised, copies = world[w.REC], world[w.PROMISED], world[w.COPIES]
    able = []
    accepted = record[w.ACCEPTED]
    if accepted:
        promised &= ~w.given_up(world)
    for site, copy in enumerate(copies):
        if copy[w.ST] == w.ABSENT or any(copy[w.ID] == loss[w.SOURCE] for loss in accepted):
            continue  # left behind for good by an operator who agreed to lose what only it has
        missing = promised & ~w.writes(copy[w.WAL])
        if record[w.EPOCH] < floor:
            missing = 0
        if missing and copy[w.ID] in record[w.SYNC] and len(copy[w.WAL]) >= record[w.FLUSHED]:
            return f"{w.NAMES[site]} may be promoted and lacks an acknowledged write"
        if missing and copy[w.ID] == record[w.PRIM] and copy[w.ST] == w.PRIMARY:
            return f"{w.NAMES[site]} is primary and lacks an acknowledged write"
        if copy[w.ST] == w.PRIMARY and w.covered(world, site, len(copy[w.WAL]) - 1):
            able.append(site)
    if len(able) > 1:
        return "two primaries acknowledge"
    return ""


def search(start: Any, successors: Successors, *, limit: int, broken: Callable[[Any], str]) -> Found:
    """Visit worlds until all are seen, ``limit`` is reached or ``broken`` says why one is."""
    began = time.process_time()
    seen: dict[Any, tuple[Any, Any] | None] = {start: None}
    waiting = deque([start])
    while waiting:
        world = waiting.popleft()
        try:
            for event, after in successors(world):
                if after in seen:
                    continue
                seen[after] = (world, event)
                why = broken(after)
                if why:
                    return Found(len(seen), False, why, path(seen, after), time.process_time() - began, seen)
                waiting.append(after)
        except Broken as law:
            steps = (*path(seen, world), law.args[1])
            return Found(len(seen), False, law.args[0], steps, time.process_time() - began, seen)
        if len(seen) >= limit:
            return Found(len(seen), False, "", (), time.process_time() - began, seen)
    return Found(len(seen), True, "", (), time.process_time() - began, seen)


def path(seen: dict[Any, tuple[Any, Any] | None], end: World) -> tuple[Any, ...]:
    """The events that lead to ``end``, in order."""
    events = []
    at: Any = end
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
