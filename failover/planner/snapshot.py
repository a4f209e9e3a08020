"""Full or incremental, and taken from where: decided from what is seen, each answer with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from failover.model.finding import Finding, Severity
from failover.model.plan import Refusal
from failover.model.snapshot import QUORUM, Kind
from failover.model.units import Lsn
from failover.planner.retention import Held, chain

CHAIN_LIMIT = 24  # each link is one more that must be whole on the worst day
FULL_EVERY = timedelta(days=7)
_LAG_LIMIT_BYTES = 64 * 1024 * 1024


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A site that could be backed up from. ``summaries_from``: the first LSN its WAL summaries of this timeline reach
    back to, ``None`` when it keeps none; ``lists``: snapshots whose file list lies there (an incremental needs one)."""

    site: str
    provider: str
    primary: bool
    reachable: bool
    streaming: bool = False
    lag_bytes: int = 0
    timeline: int = 0
    system_identifier: str = ""
    summaries_from: Lsn | None = None
    lists: tuple[str, ...] = ()


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A store, and whether it took a byte just now; ``error``: why not."""

    name: str
    provider: str
    reachable: bool
    error: str = ""


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier snapshot: what the stores hold of it, where in the WAL it began, and who can open it."""

    held: Held
    timeline: int
    start_lsn: Lsn
    system_identifier: str
    encrypted_to: tuple[str, ...] = ()


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """What to take, from where, to which stores, and why in words."""

    kind: Kind
    parent: str
    site: str
    stores: tuple[str, ...]
    missing: tuple[str, ...]
    why: tuple[str, ...]


def choose(
    *,
    sources: Sequence[Source],
    buckets: Sequence[Bucket],
    taken: Sequence[Taken],
    now: datetime,
    full: bool = False,
    recipients: Sequence[str] = (),
) -> Choice | Refusal:
    """Which snapshot to take now; a refusal when fewer than two providers' stores would hold it, or no site can be
    read. ``recipients``: who shall open it; all it is restored on top of must open with the same keys."""
    stores = [bucket for bucket in buckets if bucket.reachable]
    missing = tuple(bucket.name for bucket in buckets if not bucket.reachable)
    if len({bucket.provider for bucket in stores}) < QUORUM:
        said = "; ".join(f"{b.name}: {b.error or 'silent'}" for b in buckets if not b.reachable) or "none is missing"
        return _refusal("stores", f"fewer than {QUORUM} providers' stores answer ({said}): it would count for nothing")
    source, why_there = _source(sources)
    if source is None:
        return _refusal("source", why_there)
    parent, why_kind = _parent(source, taken, now=now, full=full, recipients=recipients)
    return Choice(
        kind="incremental" if parent else "full",
        parent=parent,
        site=source.site,
        stores=tuple(bucket.name for bucket in stores),
        missing=missing,
        why=(why_kind, why_there),
    )


def _refusal(kind: str, what: str) -> Refusal:
    finding = Finding(code=f"snapshot-{kind}", severity=Severity.ERROR, message=what)
    return Refusal(verb="snapshot create", summary=what, findings=(finding,))


def _source(sources: Sequence[Source]) -> tuple[Source | None, str]:
    """The standby when it can: the primary carries users."""
    primary = next((each for each in sources if each.primary and each.reachable), None)
    doubts = []
    for each in sources:
        if each.primary:
            continue
        if not each.reachable:
            doubts.append(f"{each.site} does not answer")
        elif not each.streaming:
            doubts.append(f"{each.site} does not stream")
        elif each.lag_bytes > _LAG_LIMIT_BYTES:
            doubts.append(f"{each.site} is {each.lag_bytes // 2**20} MB behind")
        else:
            return each, f"from {each.site}: a standby carries no writes"
    if primary is None:
        return None, f"no site can be read: {'; '.join(doubts) or 'none is known'}"
    return primary, f"from the primary {primary.site}: {'; '.join(doubts) or 'there is no standby'}"


def _parent(
    source: Source, taken: Sequence[Taken], *, now: datetime, full: bool, recipients: Sequence[str]
) -> tuple[str, str]:
    """The snapshot to build on with the reason, or ``""`` with the reason for a full one."""
    if full:
        return "", "full: asked for"
    known = {each.held.id: each.held for each in taken}
    newest = sorted(taken, key=lambda each: (each.held.created_at, each.held.id), reverse=True)
    if not newest:
        return "", "full: there is no earlier snapshot"
    reasons = []
    for candidate in newest:
        against = next(_against(source, candidate, known, taken, now, recipients), "")
        if not against:
            return candidate.held.id, f"incremental on {candidate.held.id}"
        reasons.append(against)
    return "", f"full: {reasons[0]}"


def _against(
    source: Source,
    candidate: Taken,
    known: dict[str, Held],
    taken: Sequence[Taken],
    now: datetime,
    recipients: Sequence[str],
) -> Iterator[str]:
    """Why the candidate cannot be the parent, the first reason first."""
    held = candidate.held
    links = chain(held.id, known)
    if links is None:
        yield f"something {held.id} is restored on top of is missing"
        return
    for link in links:
        if known[link].removing:
            yield f"{link} is being removed"
        if len(known[link].providers) < QUORUM:
            yield f"{link} is with fewer than {QUORUM} providers"
    opened_by = {each.held.id: set(each.encrypted_to) for each in taken}
    if recipients and any(opened_by[link] != set(recipients) for link in links):
        yield f"other keys open {held.id} than the fleet file names now"
    if candidate.system_identifier != source.system_identifier:
        yield f"{held.id} is of another database"
    if candidate.timeline != source.timeline:
        yield f"timeline {source.timeline} is new since {held.id}"
    if source.summaries_from is None:
        yield f"{source.site} keeps no WAL summaries (summarize_wal)"
    elif source.summaries_from > candidate.start_lsn:
        yield f"the WAL summaries at {source.site} begin after {held.id}"
    if held.id not in source.lists:
        yield f"{source.site} has no file list of {held.id}"
    if len(links) >= CHAIN_LIMIT:
        yield f"{len(links)} snapshots are stacked on {links[-1]} already"
    if now - known[links[-1]].created_at > FULL_EVERY:
        yield f"the last full one, {links[-1]}, is older than {FULL_EVERY.days} days"
