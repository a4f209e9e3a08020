"""Searches: where each begins and what may happen in it. Within these bounds a search is exhaustive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.explore import search
from tests.explore import world as w
from tests.explore.deciding import Decider
from tests.explore.events import clients, faults, replication
from tests.explore.moves import keeper_events
from tests.explore.operator import judgement_events, run_events
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
    strays: int = 0
    losses: int = 0
    restores: int = 0
    start: str = "protected"


SOUND = {
    "reads and restarts": Bounds(writes=1, reads=1, crashes=1, agents=1, nets=1),
    "retries of commits that were cut off": Bounds(writes=1, reads=1, retries=1, cuts=1, crashes=1),
    "a reply is lost or late": Bounds(writes=1, nets=1, replies=1, start="alone"),
    "a reply is lost and a server killed": Bounds(writes=1, crashes=1, replies=1, start="alone"),
    "a keeper is paused": Bounds(writes=1, nets=1, pauses=1, start="alone"),
    "a keeper is paused and a server killed": Bounds(writes=1, crashes=1, pauses=1),
    "a disk is wiped": Bounds(writes=1, nets=1, wipes=1),
    "a disk goes back": Bounds(writes=1, crashes=1, rollbacks=1, nets=1),
    "a planned move": Bounds(writes=1, runs=1),
    "a timeline more": Bounds(writes=2, crashes=1, start="committed"),
    "a stray start": Bounds(writes=1, crashes=1, strays=1),
    "a loss is accepted": Bounds(writes=1, reads=1, nets=1, losses=1, start="alone"),
    "a record from a backup": Bounds(writes=1, crashes=1, restores=1, start="committed"),
}
"""What a plain run of the tests visits, each to its end."""

WIDE = {
    "a planned move, a crash, a read": Bounds(writes=1, reads=1, crashes=1, runs=1),
    "a planned move and the network": Bounds(writes=1, nets=1, runs=1),
    "a wipe, a crash and the network": Bounds(writes=1, crashes=1, wipes=1, nets=1),
    "a reply lost, a crash and the network": Bounds(writes=1, crashes=1, replies=1, nets=1, start="alone"),
    "a timeline more, a crash, the network": Bounds(writes=2, crashes=1, nets=1, start="committed"),
    "a loss is accepted, a crash": Bounds(writes=1, crashes=1, nets=1, losses=1, start="alone"),
    "a loss is accepted, commits cut off": Bounds(writes=1, retries=1, cuts=1, nets=1, losses=1, start="alone"),
    "a record from a backup, the network": Bounds(writes=1, crashes=1, nets=1, restores=1, start="committed"),
}
"""What ``script/bench explore`` visits besides, each to its end."""

BUDGETED = {
    "two disks go back": Bounds(writes=2, crashes=2, rollbacks=2),
    "strays, agents and the network": Bounds(writes=1, crashes=1, agents=1, strays=1, nets=1),
    "an agent killed and a keeper paused": Bounds(writes=1, reads=1, crashes=1, agents=1, pauses=1, nets=1),
    "two crashes, two changes of the network": Bounds(writes=1, crashes=2, nets=2),
    "everything once": Bounds(
        writes=1, reads=1, retries=1, cuts=1, crashes=1, agents=1, nets=1, wipes=1, pauses=1, replies=1, runs=1
    ),
}
"""What is too wide to end: ``script/bench explore`` visits each breadth first, as far as its share of the budget goes,
so every schedule up to some length is covered and no longer one is claimed to be."""

LAWS = {
    "A1 gate": Bounds(writes=1, reads=1, crashes=1),
    "A1 duplicate": Bounds(writes=1, retries=1, cuts=1),
    "A2": Bounds(writes=1, cuts=1),
    "B1 sync only": Bounds(writes=1, crashes=1, nets=1),
    "B1 disk": Bounds(writes=1, crashes=1, rollbacks=1),
    "B1 id": Bounds(writes=1, wipes=1),
    "B1 clone": Bounds(writes=1, strays=1),
    "B1 touch": Bounds(nets=1, replies=1, start="alone"),
    "B2 join": Bounds(writes=1, reads=1, crashes=1, nets=1),
    "B2 promote": Bounds(writes=1, crashes=1, nets=1),
    "B4": Bounds(nets=1),
    "C1 own": Bounds(writes=1, nets=1, replies=1, start="alone"),
    "C1 revision": Bounds(writes=1, nets=1, replies=1, start="alone"),
    "C2 bump": Bounds(writes=1, crashes=1, replies=1, start="alone"),
    "C3": Bounds(writes=1, crashes=1, agents=1, pauses=1),
    "C4": Bounds(writes=1, crashes=1, strays=1),
    "C5 number": Bounds(writes=2, crashes=1, start="committed"),
    "C5 two observers": Bounds(nets=1),
    "C6": Bounds(writes=1, nets=1, losses=1, start="alone"),
    "C7": Bounds(writes=1, crashes=1, runs=1),
    "C8": Bounds(writes=1, restores=1, start="committed"),
    "E1": Bounds(writes=1, reads=1, nets=1),
}
"""Where a law that is switched off is caught. B3 needs a third copy: ``trio.py``."""

STUCK = {
    "B5": Bounds(writes=1, nets=1, wipes=1),
    "C2 budget": Bounds(writes=1, runs=1),
}
"""Laws without which nothing is lost, but the fleet does not come back by itself: where that is found."""

_KEEPER = (True, None, 0, None)


def beginning(bounds: Bounds) -> World:
    """``protected``: a is primary, b its standby in sync. ``alone``: b streams and is not in sync yet. ``committed``:
    a planned move has just been committed, a is stopped and b not promoted yet."""
    wal: tuple[int, ...] = (w.CHECKPOINT,)
    a = (0, w.PRIMARY, wal, (1,), (1,), (1,), 1, -1, True, 1, (), 0)
    b = (1, w.STANDBY, wal, (0,), (0,), (0,), 1, 0, False, -1, (), 0)
    record: tuple[Any, ...] = (1, 0, (1,), ((1, 0),), None, 0, None, ())
    if bounds.start == "alone":
        a = (0, w.PRIMARY, wal, (), (), (), 1, -1, True, 1, (), 0)
        stretch = (1, ()) if bounds.losses else None
        record = (1, 0, (), ((1, 0),), None, 0, stretch, ())
    elif bounds.start == "committed":
        wal = (w.CHECKPOINT, w.SHUTDOWN)
        a = (0, w.STOPPED, wal, (), (), None, -1, -1, True, -1, (), 0)
        b = (1, w.STANDBY, wal, (0,), (0,), (0,), 1, 0, False, -1, (), 0)
        record = (2, 1, (0,), ((1, 0), (2, 2)), None, 2, None, ())
    return (record, (_KEEPER, _KEEPER), (a, b), 0, None, 0, (*bounds[:-1], 2), None)


def explore(bounds: Bounds, decider: Decider, *, limit: int = 10_000_000) -> search.Found:
    """Search within ``bounds``."""
    publish = bounds.rollbacks > 0
    judged = bool(bounds.losses or bounds.restores)
    decider.begin(risky=bounds.losses > 0, epoch_seen=2 if bounds.restores else 0)

    def successors(world: World) -> Iterator[tuple[Any, World]]:
        yield from keeper_events(world, decider, publish=publish)
        yield from replication(world)
        yield from run_events(world, decider)
        if judged:
            yield from judgement_events(world)
        yield from clients(world, decider)
        yield from faults(world, decider)

    def broken(world: World) -> str:
        return search.violation(world, decider.floor)

    return search.search(beginning(bounds), successors, limit=limit, broken=broken)
