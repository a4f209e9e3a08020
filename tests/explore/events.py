"""What the world does to the fleet: clients that write, read and retry, and faults, each while some are left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.explore import world as w
from tests.explore.deciding import Decider
from tests.explore.moves import (
    AGENTS,
    CRASHES,
    CUTS,
    NETS,
    OWN,
    READS,
    RETRIES,
    ROLLBACKS,
    SENT,
    STRAYS,
    WIPES,
    WRITES,
    Broken,
    Event,
    spent,
    started,
    stopped,
)
from tests.explore.world import World


def replication(world: World) -> Iterator[tuple[Event, World]]:
    """A standby flushes one more record; names that were configured come into force."""
    for site in (0, 1):
        copy = world[w.COPIES][site]
        if copy[w.CFG] != copy[w.FORCE] and copy[w.ST] >= w.STANDBY:
            yield ("names come into force", site), w.with_copy(world, site, force=copy[w.CFG])
        if w.streams(world, site):
            source = world[w.COPIES][copy[w.UP]][w.WAL]
            have = len(copy[w.WAL])
            if len(source) > have:
                yield ("flushes", site, source[have]), w.with_copy(world, site, wal=(*copy[w.WAL], source[have]))


def gate_open(world: World, site: int, decider: Decider) -> bool:
    """Does this site's own gate let requests through, by what its agent knows?"""
    alive, view, _, _ = world[w.KEEPERS][site]
    copy = world[w.COPIES][site]
    if not alive or copy[w.ST] != w.PRIMARY:
        return False
    record = world[w.REC] if view is None else view
    facts = (copy[w.ID], copy[w.ST], (), copy[w.CFG], (), *copy[w.PROVEN : w.WASP + 1])
    shown = w.replicas(world, site) or _lingering(world, site)
    return decider.serves((site, record, facts, shown, copy[w.RECOV], _fresh(world, site, record)))


def _lingering(world: World, site: int) -> tuple[tuple[int, int], ...]:
    """A walsender whose standby was cut off is shown for seconds more, with what was flushed before."""
    copy, other = world[w.COPIES][site], world[w.COPIES][1 - site]
    if other[w.ID] not in copy[w.CFG] or w.CALLS[world[w.NET]][1 - site][site]:
        return ()
    return ((other[w.ID], w.shared(copy[w.WAL], other[w.WAL])),)


def _fresh(world: World, site: int, record: tuple[Any, ...]) -> bool:
    """Is what this site knows of the record younger than the time a takeover needs (E1)? Instants do not exist here:
    evidence is old once another copy was promoted in a newer epoch, and every sync member's reply renews it."""
    now = world[w.REC]
    if record[w.EPOCH] == now[w.EPOCH]:
        return True
    heard = {name for name, _ in w.replicas(world, site)}
    if record[w.SYNC] and heard.issuperset(record[w.SYNC]):
        return True
    new = world[w.COPIES][w.site_of(now[w.PRIM])]
    return new[w.ID] == now[w.PRIM] and w.history(new[w.WAL])[-1][0] < now[w.LINES][-1][0]


def clients(world: World, decider: Decider) -> Iterator[tuple[Event, World]]:
    """Writes reach any primary (workers and psql pass no gate); reads and retries pass the gate."""
    left = world[w.LEFT]
    for site in (0, 1):
        copy = world[w.COPIES][site]
        if copy[w.ST] != w.PRIMARY:
            continue
        wal, pend = copy[w.WAL], copy[w.PEND]
        if left[WRITES]:
            number = left[WRITES]
            grown = w.with_copy(world, site, wal=(*wal, number), pend=(*pend, (number, len(wal))))
            yield ("writes", site, number), spent(grown, WRITES)
        for one in pend:
            number, index = one
            rest = tuple(other for other in pend if other != one)
            if w.covered(world, site, index):
                done = w.with_copy(world, site, pend=rest)
                yield ("acknowledges", site, number), w.put(done, w.PROMISED, done[w.PROMISED] | 1 << number)
            if left[CUTS]:
                cut = spent(w.with_copy(world, site, pend=rest, cut=copy[w.CUT] | 1 << number), CUTS)
                if "A2" in decider.off:
                    cut = w.put(cut, w.PROMISED, cut[w.PROMISED] | 1 << number)
                yield ("ends the wait of", site, number), cut
        if not (left[READS] or left[RETRIES]) or not gate_open(world, site, decider):
            continue
        visible = w.writes(wal)
        for number, _ in pend:
            visible &= ~(1 << number)
        stale = world[w.PROMISED] & ~(w.writes(wal) | w.given_up(world))
        if left[READS] and stale:
            raise Broken("a read does not show an acknowledged write (E1)", ("serves a read", site))
        told = world[w.PROMISED] | (visible & ~copy[w.CUT])
        if left[READS] and told != world[w.PROMISED]:
            yield ("serves a read", site), w.put(spent(world, READS), w.PROMISED, told)
        if left[RETRIES]:
            for number in range(1, 6):
                if visible >> number & 1 and not world[w.PROMISED] >> number & 1:
                    yield _retried(spent(world, RETRIES), site, number, decider)


def _retried(world: World, site: int, number: int, decider: Decider) -> tuple[Event, World]:
    copy = world[w.COPIES][site]
    if "A1 duplicate" in decider.off:
        return ("answers a retry of", site, number), w.put(world, w.PROMISED, world[w.PROMISED] | 1 << number)
    pend = (*copy[w.PEND], (number, len(copy[w.WAL])))
    return ("is asked again", site, number), w.with_copy(world, site, wal=(*copy[w.WAL], w.RETRY + number), pend=pend)


def faults(world: World, decider: Decider) -> Iterator[tuple[Event, World]]:
    """Crash, agent killed, network changes shape, wipe, disk rolled back; restarts cost nothing."""
    left = world[w.LEFT]
    for site in (0, 1):
        alive = world[w.KEEPERS][site][w.ALIVE]
        copy = world[w.COPIES][site]
        if not alive:
            yield ("agent starts", site), forgotten(world, site)
        if left[CRASHES] and copy[w.ST] >= w.STANDBY:
            yield ("PostgreSQL is killed", site), stopped(spent(world, CRASHES), site)
            if alive:
                dead = w.with_keeper(stopped(spent(world, CRASHES), site), site, (False, None, 0, None))
                yield ("host crashes", site), _lease_gone(dead, site)
        if left[AGENTS] and alive:
            dead = w.with_keeper(spent(world, AGENTS), site, (False, None, 0, None))
            yield ("agent is killed", site), _lease_gone(dead, site)
            if "C3" in decider.off and world[w.KEEPERS][site][w.PAUSED] is not None:
                left_over = (site, world[w.KEEPERS][site][w.PAUSED], world[w.KEEPERS][site][w.VIEW] is None)
                yield ("a second agent starts beside", site), w.put(forgotten(dead, site), w.FLIGHT, left_over)
        if left[WIPES] and copy[w.ST] != w.ABSENT:
            gone = w.put(world, w.COPIES, w.put(world[w.COPIES], site, w.GONE))
            yield ("disk is wiped", site), spent(gone, WIPES)
        if left[STRAYS] > 0 and "B1 clone" in decider.off and copy[w.ST] == w.STANDBY:
            yield ("a clone streams under the id of", site), w.put(world, w.LEFT, w.put(left, STRAYS, -1))
        if left[STRAYS] > 0 and copy[w.ST] == w.STOPPED and "C4" in decider.off:
            yield ("a stray start", site), started(spent(world, STRAYS), site, ())
        elif left[STRAYS] > 0 and copy[w.ST] == w.STOPPED:
            keeper = world[w.KEEPERS][site]
            calm = w.with_keeper(world, site, w.put(keeper, w.PERMIT, keeper[w.PERMIT] & ~OWN))
            stray = w.with_copy(spent(calm, STRAYS), site, st=w.STANDBY, up=-1, wasp=False)
            yield ("a stray start", site), stray
        if left[ROLLBACKS] and copy[w.ST] == w.STOPPED and not alive:
            yield from _rolled_back(world, site, copy)
    if left[NETS]:
        for shape in range(len(w.SHAPES)):
            if shape != world[w.NET]:
                yield ("network", w.SHAPES[shape]), w.put(spent(world, NETS), w.NET, shape)
    elif world[w.NET]:
        yield ("network", w.SHAPES[0]), w.put(world, w.NET, 0)


def _lease_gone(world: World, site: int) -> World:
    """What a dead keeper sent and the record has not applied yet is refused: its lease is given back (C1)."""
    flight = world[w.FLIGHT]
    return w.put(world, w.FLIGHT, None) if flight is not None and flight[0] == site else world


def forgotten(world: World, site: int) -> World:
    """A new agent: it has read nothing yet and must prove names again."""
    world = w.with_keeper(world, site, (True, None, SENT, None))
    copy = world[w.COPIES][site]
    recov = len(copy[w.WAL]) if copy[w.ST] == w.PRIMARY else -1
    return w.with_copy(world, site, proven=None, proof=-1, recov=recov)


def _rolled_back(world: World, site: int, copy: tuple[Any, ...]) -> Iterator[tuple[Event, World]]:
    """The provider restores a host's disk: further back than what was last published (about two seconds, B1)."""
    flushed = world[w.REC][w.FLUSHED]
    for length in range(1, min(flushed, len(copy[w.WAL]))):
        shorter = w.with_copy(world, site, wal=copy[w.WAL][:length])
        yield ("disk goes back to", site, length), spent(shorter, ROLLBACKS)
