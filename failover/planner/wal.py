"""When WAL is shipped, and what shipped WAL amounts to: where to go on, and which pieces a restore needs. Pure. Overlap
is normal (a restart sends again from where the slot stands); a gap is refused."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping

import msgspec

from failover.model.observation import DatabaseFacts, Duty, ShippingFacts
from failover.model.record import Record
from failover.model.snapshot import QUORUM, WalChunk
from failover.model.units import Lsn, parse_lsn

SLOT = "walshipper"
"""Of the slot and of the connection. No member's name, and no beginning of one (safety B1)."""
SHIPPER_PID = "run/ship.pid"
"""Below the host's folder, for a person who has to end it."""
SHIP: Duty = "ship"
KEEP: Duty = "keep"
REST: Duty = "rest"
SETTLE_S = 3.0
"""So long a new primary that does not serve yet has the machine for itself."""
SILENT_S = 3.0


class Stretch(msgspec.Struct, frozen=True, kw_only=True):
    """WAL of one timeline that leads to the newest: from ``start`` (inclusive) to ``end`` (``None``: open)."""

    timeline: int
    start: Lsn
    end: Lsn | None


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """WAL that nobody holds, from ``start`` on."""

    timeline: int
    start: Lsn


def reach(chunks: Iterable[WalChunk], start: Lsn) -> Lsn:
    """How far the chunks lead from ``start`` without a gap; ``start`` itself when none covers it."""
    at = start
    for chunk in sorted(chunks):
        if chunk.start > at:
            break
        at = max(at, chunk.end)
    return at


def counted(held: Mapping[str, Collection[WalChunk]], *, quorum: int = QUORUM) -> frozenset[WalChunk]:
    """Chunks that enough providers hold. ``held``: by provider."""
    holders = Counter(chunk for chunks in held.values() for chunk in set(chunks))
    return frozenset(chunk for chunk, count in holders.items() if count >= quorum)


def cover(chunks: Iterable[WalChunk], *, timeline: int, start: Lsn, end: Lsn) -> tuple[WalChunk, ...] | Gap:
    """Chunks in order that together hold ``start`` to ``end``, few of them; the gap when they do not."""
    left = deque(sorted(chunk for chunk in chunks if chunk.timeline == timeline and chunk.end > start))
    found: list[WalChunk] = []
    best: WalChunk | None = None  # of those that begin at or before ``at``, the one that leads furthest
    at = start
    while at < end:
        while left and left[0].start <= at:
            chunk = left.popleft()
            best = chunk if best is None or chunk.end > best.end else best
        if best is None or best.end <= at:
            return Gap(timeline=timeline, start=at)
        found.append(best)
        at = best.end
    return tuple(found)


def stretches(history: bytes, timeline: int) -> tuple[Stretch, ...]:
    """The way to ``timeline`` from its history file, oldest first. Raises ``ValueError`` when it is none."""
    way: list[Stretch] = []
    at: Lsn = 0
    for line in history.decode("ascii").splitlines():
        fields = line.split("#")[0].split(None, 2)
        if len(fields) >= 2:
            left = parse_lsn(fields[1])
            way.append(Stretch(timeline=int(fields[0]), start=at, end=left))
            at = left
    return (*way, Stretch(timeline=timeline, start=at, end=None))


def timeline_at(way: Collection[Stretch], lsn: Lsn) -> int:
    """On which timeline of the way the byte at ``lsn`` lies."""
    return next(each.timeline for each in way if each.end is None or lsn < each.end)


class ShipFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent knows when it decides about WAL. ``move_age_s``: how long the record's move is known here;
    ``primary_s``: how long this has been the primary; ``shipping``: it ships already; ``acknowledged``: what the
    primary's shipper said last is with two providers (0: nothing yet)."""

    record: Record | None
    db: DatabaseFacts
    serving: bool = False
    move_age_s: float = 0.0
    primary_s: float = 0.0
    shipping: bool = False
    acknowledged: Lsn = 0


class ShipOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What the shipper is to do. ``safe``, while it keeps the slot: everything before may be let go."""

    duty: Duty
    why: str
    safe: Lsn = 0


def ship_order(facts: ShipFacts) -> ShipOrder:
    """Total. The record's primary ships, a standby keeps a slot that holds what two providers do not have yet, so that
    a move finds it there. Nothing is connected to a primary that is about to be stopped (safety D1)."""
    record, db = facts.record, facts.db
    if record is None:
        return ShipOrder(duty=REST, why="the record was not read yet")
    if db.state == "standby":
        return ShipOrder(duty=KEEP, why="a standby keeps the slot", safe=facts.acknowledged)
    if db.state != "primary":
        return ShipOrder(duty=REST, why=f"PostgreSQL is {db.state}")
    if db.member != record.primary:
        return ShipOrder(duty=REST, why="the record names another primary")
    move = record.move
    if move is not None and move.kind == "switchover" and facts.move_age_s < move.budget_s:
        return ShipOrder(duty=REST, why=f"{move.run} moves the primary away")
    if not (facts.shipping or facts.serving or facts.primary_s >= SETTLE_S):
        return ShipOrder(duty=REST, why="a new primary serves first")
    return ShipOrder(duty=SHIP, why="the record's primary ships")


def gap_before(held: Iterable[WalChunk], kept: Lsn, *, any_before: bool) -> bool:
    """True when WAL between what was shipped and ``kept``, the oldest byte the slot still has, is nowhere: a slot that
    was dropped, overrun, or made too late. ``held``: chunks near ``kept``; ``any_before``: some chunk ends before it.
    Nothing shipped before it at all is no gap: the first snapshot begins later."""
    earlier = [chunk.end for chunk in held if chunk.start <= kept]
    return max(earlier) < kept if earlier else any_before


def missing(own: Collection[WalChunk], others: Iterable[WalChunk]) -> tuple[WalChunk, ...]:
    """Chunks that a store needs to hold every byte the others hold, in order; all of one timeline. What it has in other
    pieces (a restart cuts anew) it has."""
    starts: list[Lsn] = []
    ends: list[Lsn] = []
    for chunk in sorted(own):
        if ends and chunk.start <= ends[-1]:
            ends[-1] = max(ends[-1], chunk.end)
        else:
            starts.append(chunk.start)
            ends.append(chunk.end)

    def has(chunk: WalChunk) -> bool:
        at = bisect_right(starts, chunk.start) - 1
        return at >= 0 and chunk.end <= ends[at]

    return tuple(chunk for chunk in sorted(set(others)) if not has(chunk))


def exposure_now(said: ShippingFacts, *, age_s: float, position: Lsn) -> ShippingFacts:
    """What the shipper said, as it is ``age_s`` later: one that is silent, or in trouble, covers nothing that came
    since."""
    if said.duty != SHIP or (age_s < SILENT_S and not said.error):
        return said
    grown = max(said.exposure_bytes or 0, position - said.acknowledged_lsn)
    return msgspec.structs.replace(said, exposure_bytes=grown, exposure_s=round((said.exposure_s or 0.0) + age_s, 3))
