"""Searches: where each begins and what may happen in it. Within these bounds a search is exhaustive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.explore import moves, search
from tests.explore import world as w
from tests.explore.deciding import Decider
from tests.explore.events import clients, faults, replication
from tests.explore.moves import keeper_events
from tests.explore.world import World


class Bounds(NamedTuple):
    """How often each may happen."""

    crashes: int = 0
    agents: int = 0
    nets: int = 0
    wipes: int = 0
    rollbacks: int = 0
    writes: int = 0
    reads: int = 0
    retries: int = 0
    cuts: int = 0
    pauses: int = 0
    replies: int = 0
    runs: int = 0


def beginning(bounds: Bounds) -> World:
    """A healthy fleet: a is primary, b its standby, both with their names proven."""
    wal = (w.CHECKPOINT,)
    a = (0, w.PRIMARY, wal, (1,), (1,), (1,), 1, -1, True, 1, (), 0)
    b = (1, w.STANDBY, wal, (0,), (0,), (0,), 1, 0, False, -1, (), 0)
    record = (1, 0, (1,), ((1, 0),), None, 0)
    keeper = (True, None, 0, None)
    return (record, (keeper, keeper), (a, b), 0, None, 0, (*bounds, 2), None)


def explore(bounds: Bounds, decider: Decider, *, limit: int = 10_000_000) -> search.Found:
    """Search within ``bounds``."""
    publish = bounds.rollbacks > 0

    def successors(world: World) -> Iterator[tuple[Any, World]]:
        yield from keeper_events(world, decider, publish=publish)
        yield from replication(world)
        yield from clients(world, decider)
        yield from faults(world)

    return search.search(beginning(bounds), successors, limit=limit)


__all__ = ["Bounds", "beginning", "explore", "moves"]
