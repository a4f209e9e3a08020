"""After healing, writes flow and the fleet is protected again: from any world, by the keepers alone.

One fair schedule is played: links whole, agents up, every keeper reads and acts in turn, standbys flush. A world from
which it does not arrive is stuck.
"""

from __future__ import annotations

import itertools
from typing import Any

from tests.explore import world as w
from tests.explore.deciding import Decider
from tests.explore.events import forgotten, gate_open, replication
from tests.explore.moves import FAILED, KEPT, NEXT_ID, facts_key, perform
from tests.explore.search import Found, path
from tests.explore.world import World

ROUNDS = 60


def healed(world: World) -> World:
    """The same world with no fault left: nobody cut off, nobody dead, nobody paused, nothing late, no run."""
    world = w.put(w.put(world, w.NET, 0), w.FLIGHT, None)
    world = w.put(world, w.RUN, None)
    for site in (0, 1):
        if not world[w.KEEPERS][site][w.ALIVE]:
            world = forgotten(world, site)
        world = w.with_keeper(world, site, (*world[w.KEEPERS][site][: w.PAUSED], None))
    return w.put(world, w.LEFT, (0,) * NEXT_ID + world[w.LEFT][NEXT_ID:])


def settled(world: World, decider: Decider) -> bool:
    """One primary serves, and a standby that streams is in sync."""
    site = w.site_of(world[w.REC][w.PRIM])
    sync = world[w.REC][w.SYNC]
    return (
        gate_open(world, site, decider)
        and bool(sync)
        and tuple(name for name, _ in w.replicas(world, site)) == sync
        and world[w.REC][w.MOVE] is None
        and world[w.COPIES][1 - site][w.ST] == w.STANDBY
    )


def stuck(world: World, decider: Decider) -> str:
    """Why the fleet does not come back from this world, or ``""``."""
    world = healed(world)
    for turn in range(ROUNDS):
        for site in (0, 1):
            world = _turn(world, site, decider, patient=turn % 3 < 2)
            world = _flushed(world)
        if settled(world, decider):
            return ""
    record = world[w.REC]
    states = ", ".join(f"{w.NAMES[i]} {w.STATES[c[w.ST]]} as {c[w.ID]}" for i, c in enumerate(world[w.COPIES]))
    return f"not protected again: record {record}, {states}"


def beyond_help(world: World) -> bool:
    """No copy is left that the record allows to be primary: only operators can choose what is lost (C8)."""
    record = world[w.REC]
    may = {record[w.PRIM], *record[w.SYNC]}
    return not any(
        copy[w.ST] != w.ABSENT and copy[w.ID] in may and len(copy[w.WAL]) >= record[w.FLUSHED]
        for copy in world[w.COPIES]
    )


def _turn(world: World, site: int, decider: Decider, *, patient: bool) -> World:
    _, _, permit, _ = world[w.KEEPERS][site]
    if world[w.KEEPERS][site][w.VIEW] is not None:
        world = w.with_keeper(world, site, (True, None, permit & KEPT, None))
    copy = world[w.COPIES][site]
    waits = copy[w.ST] == w.STANDBY and not w.streams(world, site)
    given_up = copy[w.ST] == w.STOPPED and bool(world[w.KEEPERS][site][w.PERMIT] & FAILED)
    failed = given_up or (waits and not patient)
    key = facts_key(world, site, lost=True, down=not patient, live=False, failed=failed, publish=False)
    action = decider.decide(key)
    return perform(world, site, action, decider, late=True) if action is not None else world


def _flushed(world: World) -> World:
    while True:
        after: Any = next((after for _, after in replication(world)), None)
        if after is None:
            return world
        world = after


def first_stuck(found: Found, decider: Decider, *, most: int = 1_000_000) -> tuple[str, tuple[Any, ...]]:
    """The first of the visited worlds (they are in order of distance) from which the fleet does not come back, though a
    copy is left that may be primary: why, and the schedule that leads there. At most ``most`` of them are tried."""
    for world in itertools.islice(found.seen, most):
        why = "" if beyond_help(world) else stuck(world, decider)
        if why:
            return why, path(found.seen, world)
    return "", ()
