"""The world the explorer walks through, as small tuples: copies with their WAL, keepers, the record, links, clients.

An LSN is an index into a copy's WAL. An entry is a write (1..49), the answer to a retry of it (50 + write), a
checkpoint, the shutdown checkpoint or the switch to a timeline (100 + its number). What PostgreSQL decides by numbers
is decided by numbers here: streaming and rewinding compare timeline histories, never contents, so that two histories
under one number go wrong here as they do there (safety C5).
"""

from __future__ import annotations

from functools import cache
from typing import Any

RETRY, CHECKPOINT, SHUTDOWN, SWITCH = 50, 90, 91, 100

# A world: the record, keepers, copies, the shape of the network, the operator's run, clients, what may still happen.
REC, KEEPERS, COPIES, NET, RUN, PROMISED, LEFT, FLIGHT = range(8)
World = tuple[Any, ...]

# The record without its revision: whether a reader's copy of it is the present one is kept beside the copy.
# ALONE: since when nobody is sync and who had all of it then; ACCEPTED: losses an operator accepted. Both stay empty in
# a search without such operators.
EPOCH, PRIM, SYNC, LINES, MOVE, FLUSHED, ALONE, ACCEPTED = range(8)
SOURCE, RELEASED = 2, 5
"""Places in one accepted loss: epoch, run, source, target, fork, released."""

# A keeper: alive; the record it read last (None: the present one); what its own swap permits in that revision; an
# action it decided on and was paused before.
ALIVE, VIEW, PERMIT, PAUSED = range(4)

# A copy. CFG names configured, FORCE names in force, PROVEN names shown in force, PROOF position read after that,
# RECOV end of recovery of this start, PEND commits that wait (write, index), CUT bits of writes whose wait was cut.
ID, ST, WAL, CFG, FORCE, PROVEN, PROOF, UP, WASP, RECOV, PEND, CUT = range(12)
ABSENT, STOPPED, STANDBY, PRIMARY = range(4)
STATES = ("absent", "stopped", "standby", "primary")
GONE = (-1, ABSENT, (), (), (), None, -1, -1, False, -1, (), 0)

CLONED = 12
"""Place in what is left of stray starts; -1: a clone streams under the standby's id, which the law forbids (B1)."""

NAMES = "abc"
WITNESS = 2
SHAPES = (
    "whole network",
    "a | b w",
    "b | a w",
    "a b | w",
    "a-b cut",
    "b cannot call a",
    "a cannot call b",
    "w cannot call a",
)
_CUT = (
    (),
    ((0, 1), (1, 0), (0, 2), (2, 0)),
    ((0, 1), (1, 0), (1, 2), (2, 1)),
    ((0, 2), (2, 0), (1, 2), (2, 1)),
    ((0, 1), (1, 0)),
    ((1, 0),),
    ((0, 1),),
    ((2, 0),),
)
CALLS = tuple(tuple(tuple((x, y) not in cut for y in range(3)) for x in range(3)) for cut in _CUT)
"""``CALLS[shape][x][y]``: x can open a connection to y."""
RECORD = tuple(tuple(any(y != x and c[x][y] and c[y][x] for y in range(3)) for x in range(3)) for c in CALLS)
"""``RECORD[shape][x]``: x reaches a majority of the voters."""


def site_of(member: int) -> int:
    """Members 0, 2, 4 … are copies at a, 1, 3, 5 … copies at b."""
    return member % 2


def put(values: tuple[Any, ...], index: int, value: Any) -> tuple[Any, ...]:
    """``values`` with one field replaced."""
    return (*values[:index], value, *values[index + 1 :])


def with_copy(world: World, site: int, **changes: Any) -> World:
    """The world with fields of one copy replaced."""
    fields = list(world[COPIES][site])
    for name, value in changes.items():
        fields[_FIELDS[name]] = value
    return put(world, COPIES, put(world[COPIES], site, tuple(fields)))


_FIELDS = {
    "id": ID, "st": ST, "wal": WAL, "cfg": CFG, "force": FORCE, "proven": PROVEN, "proof": PROOF, "up": UP,
    "wasp": WASP, "recov": RECOV, "pend": PEND, "cut": CUT,
}  # fmt: skip


def with_keeper(world: World, site: int, keeper: tuple[Any, ...]) -> World:
    """The world with one keeper replaced."""
    return put(world, KEEPERS, put(world[KEEPERS], site, keeper))


@cache
def history(wal: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Timelines of a WAL: number and index where each begins."""
    return ((1, 0), *((entry - SWITCH, index) for index, entry in enumerate(wal) if entry > SWITCH))


@cache
def writes(wal: tuple[int, ...]) -> int:
    """Bits of the writes a WAL holds."""
    bits = 0
    for entry in wal:
        if entry < RETRY:
            bits |= 1 << entry
    return bits


def given_up(world: World) -> int:
    """Bits of the writes that an operator agreed to lose: those of a copy that is kept aside for them (C6)."""
    bits = 0
    for loss in world[REC][ACCEPTED]:
        copy = world[COPIES][site_of(loss[SOURCE])]
        if not loss[RELEASED] and copy[ID] == loss[SOURCE]:
            bits |= writes(copy[WAL])
    return bits


@cache
def shared(one: tuple[int, ...], other: tuple[int, ...]) -> int:
    """How much two WALs have in common."""
    both = min(len(one), len(other))
    return next((index for index in range(both) if one[index] != other[index]), both)


@cache
def can_stream(standby: tuple[int, ...], source: tuple[int, ...]) -> bool:
    """Would a walsender on ``source`` serve a standby that ends where ``standby`` ends? By numbers, as PostgreSQL."""
    lines = history(source)
    number = history(standby)[-1][0]
    for index, (line, _) in enumerate(lines):
        if line == number:
            end = lines[index + 1][1] if index + 1 < len(lines) else len(source)
            return len(standby) <= end
    return False


@cache
def rewound(target: tuple[int, ...], source: tuple[int, ...]) -> tuple[int, ...]:
    """``pg_rewind``: back to the last timeline both histories name, then the source's WAL; or nothing."""
    ours, theirs = history(target), history(source)
    common = 0
    while common < min(len(ours), len(theirs)) and ours[common] == theirs[common]:
        common += 1
    ends = [lines[common][1] if common < len(lines) else len(wal) for lines, wal in ((ours, target), (theirs, source))]
    fork = min(ends)
    return target if len(target) <= fork else target[:fork] + source[fork:]


def streams(world: World, site: int) -> bool:
    """Does the standby at ``site`` stream from its upstream now?"""
    copy = world[COPIES][site]
    up = copy[UP]
    if copy[ST] != STANDBY or up < 0 or up == site or not CALLS[world[NET]][site][up]:
        return False
    source = world[COPIES][up]
    return source[ST] >= STANDBY and can_stream(copy[WAL], source[WAL])


def replicas(world: World, site: int) -> tuple[tuple[int, int], ...]:
    """Who streams from ``site``: member id and flush position."""
    other = world[COPIES][1 - site]
    return ((other[ID], len(other[WAL])),) if other[UP] == site and streams(world, 1 - site) else ()


def covered(world: World, site: int, index: int) -> bool:
    """May a commit at ``index`` of this primary's WAL be answered: has every name in force flushed past it?"""
    force = world[COPIES][site][FORCE]
    if not force:
        return True
    if world[LEFT][CLONED] < 0:
        return True  # somebody else's walreceiver answers under that name
    here = replicas(world, site)
    return len(force) == len(here) and here[0] == (force[0], here[0][1]) and here[0][1] > index
