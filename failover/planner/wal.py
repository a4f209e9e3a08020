"""What shipped WAL amounts to: where to go on, and which pieces a restore needs. Pure. Overlap is normal (a restart
sends again from where the slot stands); a gap is refused."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from failover.model.snapshot import QUORUM, WalChunk
from failover.model.units import Lsn, parse_lsn


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
    everywhere = [chunk for chunks in held.values() for chunk in set(chunks)]
    return frozenset(chunk for chunk in everywhere if everywhere.count(chunk) >= quorum)


def cover(chunks: Iterable[WalChunk], *, timeline: int, start: Lsn, end: Lsn) -> tuple[WalChunk, ...] | Gap:
    """Chunks in order that together hold ``start`` to ``end``, few of them; the gap when they do not."""
    usable = sorted(chunk for chunk in chunks if chunk.timeline == timeline and chunk.end > start)
    found: list[WalChunk] = []
    at = start
    while at < end:
        reaching = [chunk for chunk in usable if chunk.start <= at < chunk.end]
        if not reaching:
            return Gap(timeline=timeline, start=at)
        found.append(max(reaching, key=lambda chunk: chunk.end))
        at = found[-1].end
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
