"""What a keeper can do next: read the record, or look, decide and act; paused after a decision, or before a reply."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.explore import world as w
from tests.explore.deciding import Decider
from tests.explore.world import World

Event = tuple[Any, ...]
CRASHES, AGENTS, NETS, WIPES, ROLLBACKS, WRITES, READS, RETRIES, CUTS, PAUSES, REPLIES, RUNS, STRAYS = range(13)
LOSSES, RESTORES, NEXT_ID = 13, 14, 15
"""Places of ``world[LEFT]``: how often each may still happen. Bounds of a search."""


SENT, START, FAILED, OWN, EVIDENCE = 1, 2, 4, 8, 16
"""Bits beside a keeper's view: a swap it sent from this revision may be on its way; it may start as primary in it; its
copy was stopped because it cannot follow; it has swapped since the copy ran as a standby; what only its copy has is
kept aside."""
KEPT = FAILED | OWN | EVIDENCE
"""What reading a newer record leaves."""


class Broken(Exception):
    """A law of transitions does not hold: ``args[0]`` says which and how, ``args[1]`` in which event."""


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
    flight = world[w.FLIGHT]
    if flight is not None and flight[2]:
        world = w.put(world, w.FLIGHT, (*flight[:2], False))
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
        permit & ~FAILED,
        (copy[w.ID], copy[w.ST], copy[w.WAL], copy[w.CFG], (), *copy[w.PROVEN : w.WASP + 1]),
        here,
        w.streams(world, site),
        other[w.ID] if hears_peer else -1,
        downs,
        (hears_peer or failed) and other[w.ST] == w.PRIMARY and other[w.ID] == record[w.PRIM],
        live,
        gone,
        failed,
        least if publish else 0,
    )


def clocks(world: World, site: int, publish: bool) -> Iterator[dict[str, bool]]:
    """Every way in which this keeper's clocks may stand: patience with a peer, the budget of a move, a rejoin."""
    _, view, permit, _ = world[w.KEEPERS][site]
    record = world[w.REC] if view is None else view
    copy = world[w.COPIES][site]
    primary = copy[w.ST] == w.PRIMARY
    moving = record[w.MOVE] is not None and record[w.MOVE][0] == "switchover"
    waiting = copy[w.ST] == w.STANDBY and w.site_of(record[w.PRIM]) != site
    hung = (waiting and not w.streams(world, site)) or (copy[w.ST] == w.STOPPED and copy[w.WASP])
    given_up = copy[w.ST] == w.STOPPED and bool(permit & FAILED)
    for patient in (True, False):
        for live in (True, False) if moving else (False,):
            for failed in (True,) if given_up else (False, True) if hung else (False,):
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
        alive, view, permit, paused = world[w.KEEPERS][site]
        if not alive:
            continue
        if paused is not None:
            keeper = (alive, view, world[w.KEEPERS][site][w.PERMIT], None)
            yield _act("wakes and does", w.with_keeper(world, site, keeper), site, paused, decider, late=True)
            continue
        if view is not None and w.RECORD[world[w.NET]][site]:
            yield ("reads the record", site), w.with_keeper(world, site, (True, None, permit & KEPT, None))
        for action in _choices(world, site, decider, publish):
            yield _act("keeper", world, site, action, decider)
            if left[PAUSES]:
                held = (alive, view, world[w.KEEPERS][site][w.PERMIT], action)
                yield ("decides and is paused", site, action), w.with_keeper(spent(world, PAUSES), site, held)
            if action[0] == "swap" and left[REPLIES] and view is None and w.RECORD[world[w.NET]][site]:
                lost = _swap(spent(world, REPLIES), site, action, decider)
                if lost[w.REC] is not world[w.REC]:
                    stale = (alive, world[w.REC], permit & KEPT | SENT, None)
                    yield ("reply lost", site, action), w.with_keeper(lost, site, stale)
                sent = w.with_keeper(spent(world, REPLIES), site, (alive, view, permit | SENT, None))
                yield ("request delayed", site, action), w.put(sent, w.FLIGHT, (site, action, True))
    if world[w.FLIGHT] is not None:
        site, action, current = world[w.FLIGHT]
        landed = w.put(world, w.FLIGHT, None)
        if action[0] != "swap":
            yield _act("a second keeper wakes and does", landed, site, action, decider, late=True)
        elif current or "C1 revision" in decider.off:
            yield ("the delayed request arrives", site, action), written(landed, action[1], by=-1)


def _act(
    label: str, world: World, site: int, action: tuple[Any, ...], decider: Decider, *, late: bool = False
) -> tuple[Event, World]:
    event = (label, site, action)
    try:
        return event, perform(world, site, action, decider, late=late)
    except Broken as broken:
        raise Broken(broken.args[0], event) from None


def _choices(world: World, site: int, decider: Decider, publish: bool) -> tuple[tuple[Any, ...], ...]:
    """Every action this keeper may decide on next, over all ways in which its clocks may stand."""
    keeper, record = world[w.KEEPERS][site], world[w.REC]
    view = record if keeper[w.VIEW] is None else keeper[w.VIEW]
    key = (site, view, keeper[w.PERMIT], world[w.COPIES], world[w.NET], world[w.KEEPERS][1 - site][w.ALIVE])
    found = decider.choices.get(key)
    if found is None:
        decided = (decider.decide(facts_key(world, site, **clock)) for clock in clocks(world, site, publish))
        found = tuple(dict.fromkeys(action for action in decided if action is not None))
        decider.choices[key] = found
    return found


def perform(world: World, site: int, action: tuple[Any, ...], decider: Decider, *, late: bool = False) -> World:
    """One action done, or refused by what PostgreSQL or the record is by now. ``late``: decided on before a pause."""
    copy = world[w.COPIES][site]
    state = copy[w.ST]
    match action:
        case ("swap", _, _):
            return _swap(world, site, action, decider, late=late)
        case ("rename",):
            fresh, world = _new_id(world, site, decider)
            return w.with_copy(world, site, id=fresh) if state == w.STOPPED else world
        case ("start as primary", names):
            alive, view, _, paused = world[w.KEEPERS][site]
            world = w.with_keeper(world, site, (alive, view, world[w.KEEPERS][site][w.PERMIT] & ~START, paused))
            if state != w.STOPPED:
                return world
            return started(world, site, names)
        case ("start as standby", up, names):
            if state != w.STOPPED:
                return world
            alive, view, permit, paused = world[w.KEEPERS][site]
            world = w.with_keeper(world, site, (alive, view, permit & ~OWN, paused))
            new = {"cfg": names, "force": names, "proven": None, "proof": -1, "up": up, "wasp": False}
            return w.with_copy(world, site, st=w.STANDBY, **new)
        case ("stop",):
            if state == w.STANDBY and w.site_of(world[w.REC][w.PRIM]) != site:
                alive, view, permit, paused = world[w.KEEPERS][site]
                world = w.with_keeper(world, site, (alive, view, permit | FAILED, paused))
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
        case ("save evidence",):
            alive, view, permit, paused = world[w.KEEPERS][site]
            return w.with_keeper(world, site, (alive, view, permit | EVIDENCE, paused))
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
            fresh, world = _new_id(world, site, decider)
            # Under its old id the record counts on it before the backup is whole.
            wal = source[w.WAL][:1] if "B1 id" in decider.off else source[w.WAL]
            copy = (fresh, w.STOPPED, wal, (), (), None, -1, -1, False, -1, (), 0)
            return w.put(world, w.COPIES, w.put(world[w.COPIES], site, copy))
        case ("discard", _):
            _not_in_use(world, copy, decider)
            _nowhere_else(world, site)
            alive, view, permit, paused = world[w.KEEPERS][site]
            world = w.with_keeper(world, site, (alive, view, permit & ~FAILED, paused))
            return w.put(world, w.COPIES, w.put(world[w.COPIES], site, w.GONE))
        case ("rewind", up):
            source = world[w.COPIES][up]
            if state != w.STOPPED or source[w.ST] < w.STANDBY or not w.CALLS[world[w.NET]][site][up]:
                return world
            _not_in_use(world, copy, decider)
            _nowhere_else(world, site)
            fresh, world = _new_id(world, site, decider)
            # What crashed is recovered first, and that writes a checkpoint at its end.
            clean = copy[w.WAL][-1] == w.SHUTDOWN
            wal = w.rewound(copy[w.WAL] if clean else (*copy[w.WAL], w.CHECKPOINT), source[w.WAL])
            return w.with_copy(world, site, id=fresh, wal=wal, wasp=False, cut=0)
    raise NotImplementedError(action[0])


def _new_id(world: World, site: int, decider: Decider) -> tuple[int, World]:
    """A member id nobody had before (B1); with the law off the site's first."""
    if "B1 id" in decider.off:
        return site, world
    old = world[w.LEFT][NEXT_ID]
    return old + (old + site) % 2, w.put(world, w.LEFT, w.put(world[w.LEFT], NEXT_ID, old + 2))


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


def _not_in_use(world: World, copy: tuple[Any, ...], decider: Decider) -> None:
    if world[w.REC][w.EPOCH] < decider.floor:
        return  # nobody follows a record from before that epoch (C8)
    if copy[w.ID] in world[w.REC][w.SYNC] or copy[w.ID] == world[w.REC][w.PRIM]:
        raise Broken(f"copy {copy[w.ID]} is touched while the record counts on it (B1)")


def _nowhere_else(world: World, site: int) -> None:
    """What was acknowledged on this copy alone goes with it only once an operator has said so, with the count of it."""
    mine, others = (w.writes(world[w.COPIES][one][w.WAL]) for one in (site, 1 - site))
    if world[w.PROMISED] & mine & ~others:
        raise Broken("the only copy of an acknowledged write is destroyed by a keeper (C6)")


def _swap(world: World, site: int, action: tuple[Any, ...], decider: Decider, *, late: bool = False) -> World:
    alive, view, permit, paused = world[w.KEEPERS][site]
    if not w.RECORD[world[w.NET]][site]:
        return world
    if view is not None and "C1 revision" not in decider.off:
        return w.with_keeper(world, site, (alive, None, permit & KEPT, paused))
    if not decider.legal(world[w.REC], action[1]):
        return world
    if not late:
        _consent(world, site, action[1])
    after = written(world, action[1], by=site)
    return w.with_keeper(after, site, (alive, None, permit & KEPT | OWN | (START if action[2] else 0), paused))


def _consent(world: World, site: int, after: tuple[Any, ...]) -> None:
    """What no later world shows: who must agree to a swap (B4, two observers)."""
    before, peer = world[w.REC], 1 - site
    copy = world[w.COPIES][peer]
    seen = copy[w.ST] >= w.STANDBY and w.CALLS[world[w.NET]][w.WITNESS][peer]
    if after[w.PRIM] != before[w.PRIM] and seen:
        raise Broken("a primary is replaced that the witness sees running")
    dropped = [name for name in before[w.SYNC] if name not in after[w.SYNC] and after[w.PRIM] == before[w.PRIM]]
    if dropped and seen and copy[w.ID] in dropped:
        raise Broken("a member leaves sync that the witness sees running (B4)")
