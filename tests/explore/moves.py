"""What a keeper can do next: read the record, or look, decide and act; paused after a decision, or before a reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.explore import world as w
from tests.explore.deciding import Decider
from tests.explore.world import World

Event = tuple[Any, ...]
CRASHES, AGENTS, NETS, WIPES, ROLLBACKS, WRITES, READS, RETRIES, CUTS, PAUSES, REPLIES, RUNS, EVENTS = range(13)
"""Places of ``world[LEFT]``: how often each may still happen. Bounds of a search."""


OWN, START = 1, 2
"""Bits of a keeper's permit: the record's revision is of its own making; it may start as primary in it."""


class Broken(Exception):
    """A law of transitions does not hold: ``args[0]`` says which and how."""


def spent(world: World, what: int) -> World:
    """One fewer left."""
    left = world[w.LEFT]
    return w.put(world, w.LEFT, w.put(left, what, left[what] - 1))


def written(world: World, small: tuple[Any, ...], *, by: int) -> World:
    """The record replaced. Whoever held the present one holds a stale one now, except its writer (-1: a run)."""
    before = world[w.REC]
    keepers = tuple(
        (alive, None, permit, paused)
        if site == by
        else (alive, before if view is None and alive else view, permit, paused)
        for site, (alive, view, permit, paused) in enumerate(world[w.KEEPERS])
    )
    world = w.put(w.put(world, w.REC, small), w.KEEPERS, keepers)
    world = w.put(world, w.FLIGHT, None)
    run = world[w.RUN]
    return w.put(world, w.RUN, w.put(run, 1, False)) if run is not None and run[1] else world


def facts_key(
    world: World, site: int, *, lost: bool, down: bool, live: bool, failed: bool, publish: bool
) -> tuple[Any, ...]:
    """What the keeper at ``site`` would decide on now, given which of its clocks have run out."""
    peer = 1 - site
    calls = w.CALLS[world[w.NET]]
    _, view, permit, _ = world[w.KEEPERS][site]
    record = world[w.REC] if view is None else view
    copy, other = world[w.COPIES][site], world[w.COPIES][peer]
    here = w.replicas(world, site) if copy[w.ST] >= w.STANDBY else ()
    hears_peer = calls[site][peer] and world[w.KEEPERS][peer][w.ALIVE]
    answers = other[w.ST] >= w.STANDBY
    hears_witness = calls[site][w.WITNESS]
    downs = tuple(
        down and not (calls[x][peer] and answers) and (x == site or hears_witness) and x != peer for x in range(3)
    )
    gone = ()
    if lost and copy[w.ST] == w.PRIMARY:
        present = [name for name, _ in here]
        gone = tuple(name for name in copy[w.CFG] if name not in present)
    flushed = dict(here)
    least = min((flushed.get(name, 0) for name in record[w.SYNC]), default=0)
    return (
        site,
        record,
        permit,
        (copy[w.ID], copy[w.ST], copy[w.WAL], copy[w.CFG], (), *copy[w.PROVEN : w.WASP + 1]),
        here,
        w.streams(world, site),
        other[w.ID] if hears_peer else -1,
        downs,
        hears_peer and other[w.ST] == w.PRIMARY and other[w.ID] == record[w.PRIM],
        live,
        gone,
        failed,
        least if publish else 0,
    )


def clocks(world: World, site: int, publish: bool) -> Iterator[dict[str, bool]]:
    """Every way in which this keeper's clocks may stand: patience with a peer, the budget of a move, a rejoin."""
    _, view, _, _ = world[w.KEEPERS][site]
    record = world[w.REC] if view is None else view
    copy = world[w.COPIES][site]
    primary = copy[w.ST] == w.PRIMARY
    moving = record[w.MOVE] is not None and record[w.MOVE][0] == "switchover"
    waiting = copy[w.ST] == w.STANDBY and w.site_of(record[w.PRIM]) != site
    hung = (waiting and not w.streams(world, site)) or copy[w.ST] == w.STOPPED
    for patient in (True, False):
        for live in (True, False) if moving else (False,):
            for failed in (False, True) if hung else (False,):
                yield {
                    "lost": primary and not patient,
                    "down": not patient,
                    "live": live,
                    "failed": failed,
                    "publish": publish,
                }


def keeper_events(world: World, decider: Decider, *, publish: bool = False) -> Iterator[tuple[Event, World]]:
    """All next worlds by the hand of a keeper."""
    left = world[w.LEFT]
    for site in (0, 1):
        alive, view, _permit, paused = world[w.KEEPERS][site]
        if not alive:
            continue
        if paused is not None:
            keeper = (alive, view, world[w.KEEPERS][site][w.PERMIT], None)
            woken = perform(w.with_keeper(world, site, keeper), site, paused, decider)
            yield ("wakes and does", site, paused), woken
            continue
        if view is not None and w.RECORD[world[w.NET]][site]:
            yield ("reads the record", site), w.with_keeper(world, site, (True, None, 0, None))
        seen = set()
        for clock in clocks(world, site, publish):
            action = decider.decide(facts_key(world, site, **clock))
            if action is None or action in seen:
                continue
            seen.add(action)
            yield ("keeper", site, action), perform(world, site, action, decider)
            if left[PAUSES]:
                held = (alive, view, world[w.KEEPERS][site][w.PERMIT], action)
                yield ("decides and is paused", site, action), w.with_keeper(spent(world, PAUSES), site, held)
            if action[0] == "swap" and left[REPLIES] and view is None and w.RECORD[world[w.NET]][site]:
                lost = _swap(spent(world, REPLIES), site, action, decider)
                if lost[w.REC] is not world[w.REC]:
                    stale = (alive, world[w.REC], 0, None)
                    yield ("reply lost", site, action), w.with_keeper(lost, site, stale)
                sent = w.with_keeper(spent(world, REPLIES), site, (alive, view, 0, None))
                yield ("request delayed", site, action), w.put(sent, w.FLIGHT, (site, action))
    if world[w.FLIGHT] is not None:
        site, action = world[w.FLIGHT]
        late = written(world, action[1], by=-1)
        yield ("the delayed request arrives", site, action), late


def perform(world: World, site: int, action: tuple[Any, ...], decider: Decider) -> World:
    """One action done, or refused by what PostgreSQL or the record is by now."""
    copy = world[w.COPIES][site]
    peer = 1 - site
    state = copy[w.ST]
    match action:
        case ("swap", _, _):
            return _swap(world, site, action, decider)
        case ("start as primary", names):
            alive, view, _, paused = world[w.KEEPERS][site]
            world = w.with_keeper(world, site, (alive, view, world[w.KEEPERS][site][w.PERMIT] & OWN, paused))
            if state != w.STOPPED:
                return world
            return started(world, site, names)
        case ("start as standby", up, names):
            if state != w.STOPPED:
                return world
            new = {"cfg": names, "force": names, "proven": None, "proof": -1, "up": up, "wasp": False}
            return w.with_copy(world, site, st=w.STANDBY, **new)
        case ("stop",):
            return stopped(world, site)
        case ("set names", names):
            if state < w.STANDBY:
                return world
            return w.with_copy(world, site, cfg=names, proven=None, proof=-1)
        case ("prove names", names):
            if state < w.STANDBY or copy[w.CFG] != names:
                return world
            # A new session and a checkpoint: by the time they answer the names are in force (B2).
            force = copy[w.FORCE] if decider.off & {"B2 join", "B2 promote"} else names
            return w.with_copy(world, site, force=force, proven=names, proof=len(copy[w.WAL]))
        case ("follow", up):
            return w.with_copy(world, site, up=up) if state == w.STANDBY else world
        case ("promote", lines):
            if state != w.STANDBY:
                return world
            number = max([w.history(copy[w.WAL])[-1][0], *lines[:-1]]) + 1
            wal = (*copy[w.WAL], w.SWITCH + number)
            return w.with_copy(world, site, st=w.PRIMARY, wal=wal, up=-1, wasp=True, recov=len(wal), pend=(), cut=0)
        case ("seed", up):
            source = world[w.COPIES][up]
            if state != w.ABSENT or source[w.ST] < w.STANDBY or not w.CALLS[world[w.NET]][site][up]:
                return world
            old = world[w.LEFT][EVENTS]
            fresh = site if "B1 id" in decider.off else old + (old + site) % 2
            world = w.put(world, w.LEFT, w.put(world[w.LEFT], EVENTS, old + 2))
            copy = (fresh, w.STOPPED, source[w.WAL], (), (), None, -1, -1, False, -1, (), 0)
            return w.put(world, w.COPIES, w.put(world[w.COPIES], site, copy))
        case ("discard", _):
            _not_in_use(world, copy)
            return w.put(world, w.COPIES, w.put(world[w.COPIES], site, w.GONE))
        case ("rewind", up):
            source = world[w.COPIES][up]
            if state != w.STOPPED or source[w.ST] < w.STANDBY or not w.CALLS[world[w.NET]][site][up]:
                return world
            _not_in_use(world, copy)
            old = world[w.LEFT][EVENTS]
            fresh = copy[w.ID] if "B1 id" in decider.off else old + (old + site) % 2
            world = w.put(world, w.LEFT, w.put(world[w.LEFT], EVENTS, old + 2))
            wal = w.rewound(copy[w.WAL], source[w.WAL])
            return w.with_copy(world, site, id=fresh, wal=wal, wasp=False, cut=0)
    raise NotImplementedError(action[0], peer)


def started(world: World, site: int, names: tuple[int, ...]) -> World:
    """PostgreSQL runs read-write on its own timeline; rows whose commit waited are visible now."""
    wal = (*world[w.COPIES][site][w.WAL], w.CHECKPOINT)
    return w.with_copy(
        world, site, st=w.PRIMARY, wal=wal, cfg=names, force=names, proven=None, proof=-1, up=-1, wasp=True,
        recov=len(wal), pend=(), cut=0,
    )  # fmt: skip


def stopped(world: World, site: int) -> World:
    """PostgreSQL ended hard: its WAL stays, its waiting commits have no client any more."""
    return w.with_copy(world, site, st=w.STOPPED, cfg=(), force=(), proven=None, proof=-1, recov=-1, pend=(), cut=0)


def _not_in_use(world: World, copy: tuple[Any, ...]) -> None:
    if copy[w.ID] in world[w.REC][w.SYNC] or copy[w.ID] == world[w.REC][w.PRIM]:
        raise Broken(f"copy {copy[w.ID]} is touched while the record counts on it (B1)")


def _swap(world: World, site: int, action: tuple[Any, ...], decider: Decider) -> World:
    alive, view, permit, paused = world[w.KEEPERS][site]
    if not w.RECORD[world[w.NET]][site]:
        return world
    if view is not None and "C1 revision" not in decider.off:
        return w.with_keeper(world, site, (alive, None, 0, paused))
    if not decider.legal(world[w.REC], action[1]):
        return world
    _consent(world, site, action[1], decider)
    after = written(world, action[1], by=site)
    return w.with_keeper(after, site, (alive, None, OWN | START if action[2] else OWN | permit & START, paused))


def _consent(world: World, site: int, after: tuple[Any, ...], decider: Decider) -> None:
    """Two laws of a swap that no later state shows: who must have agreed to it (B4, two observers)."""
