"""Which snapshots stay. Pure: what each store holds and the clock in, what stays with its reasons and what goes out.

Rules that no policy can switch off: the newest whole snapshot stays; the last verified one stays; what an incremental
that stays is restored on top of stays; nothing is removed from the last store that has it, unless its removal had been
begun (then it must be finished: half a snapshot helps nobody).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from failover.model.snapshot import QUORUM, Kind
from failover.model.stores import Policy

_ORPHAN_AFTER = timedelta(days=1)


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot as the stores' listings tell it. ``stores``: those that hold it whole, with its manifest;
    ``providers``: theirs, each once, because two stores with one provider are lost together; ``removing``: a removal
    was begun; ``locked_until``: no store gives it up before."""

    id: str
    kind: Kind
    parent: str = ""
    created_at: datetime
    stores: tuple[str, ...]
    providers: tuple[str, ...]
    verified: bool = False
    removing: bool = False
    locked_until: datetime | None = None


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """Objects below a prefix without a manifest in any store: a create that was killed, or one that runs now."""

    id: str
    begun_at: datetime
    stores: tuple[str, ...]


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot that stays, and each reason in words."""

    id: str
    why: tuple[str, ...]


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot or orphan that goes, from which stores."""

    id: str
    stores: tuple[str, ...]
    why: str


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Keeps in order of time; removals so that a child always goes before its parent."""

    keep: tuple[Keep, ...]
    remove: tuple[Remove, ...]


_Period = tuple[str, Callable[[datetime], str], Callable[[Policy], int]]
_PERIODS: tuple[_Period, ...] = (
    ("hour", lambda at: f"{at:%Y-%m-%d %H}h", lambda policy: policy.hourly),
    ("day", lambda at: f"{at:%Y-%m-%d}", lambda policy: policy.daily),
    ("week", lambda at: f"{at:%G-W%V}", lambda policy: policy.weekly),
    ("month", lambda at: f"{at:%Y-%m}", lambda policy: policy.monthly),
)


def retain(held: Sequence[Held], orphans: Sequence[Orphan], *, policy: Policy, now: datetime) -> Retention:
    """What stays and what goes."""
    known = {snapshot.id: snapshot for snapshot in held}
    usable = sorted((each for each in held if _usable(each, known)), key=_age)
    reasons: dict[str, list[str]] = {}
    for name, reason in _wanted(usable, policy):
        reasons.setdefault(name, []).append(reason)
    for snapshot in held:
        if snapshot.removing:
            continue
        if snapshot.id not in reasons and len(snapshot.providers) < QUORUM:
            where = ", ".join(snapshot.stores) or "no store"
            reasons.setdefault(snapshot.id, []).append(f"only {where} has it")
        if snapshot.locked_until is not None and snapshot.locked_until > now:
            reasons.setdefault(snapshot.id, []).append(f"locked until {snapshot.locked_until:%Y-%m-%d %H:%MZ}")
    _keep_parents(reasons, known)
    keep = tuple(Keep(id=s.id, why=tuple(reasons[s.id])) for s in sorted(held, key=_age) if s.id in reasons)
    going = [snapshot for snapshot in held if snapshot.id not in reasons]
    # The newest first: a child is younger than its parent.
    remove = [
        Remove(id=s.id, stores=s.stores, why="its removal was begun" if s.removing else "no period needs it")
        for s in sorted(going, key=lambda s: (_depth(s, known), _age(s)), reverse=True)
    ]
    remove += [
        Remove(id=o.id, stores=o.stores, why="begun and never finished")
        for o in orphans
        if o.id not in known and now - o.begun_at > _ORPHAN_AFTER
    ]
    return Retention(keep=keep, remove=tuple(remove))


def chain(snapshot: str, known: Mapping[str, Held]) -> tuple[str, ...] | None:
    """The snapshot and all it is restored on top of, the full one last. ``None`` when one is missing."""
    found: list[str] = []
    at = snapshot
    while at:
        if at not in known or at in found:
            return None
        found.append(at)
        at = known[at].parent
    return tuple(found)


def _age(snapshot: Held) -> tuple[datetime, str]:
    return snapshot.created_at, snapshot.id


def _depth(snapshot: Held, known: Mapping[str, Held]) -> int:
    """How many snapshots that are still there it stands on: also where the chain is broken further down."""
    found = {snapshot.id}
    at = snapshot.parent
    while at in known and at not in found:
        found.add(at)
        at = known[at].parent
    return len(found)


def _usable(snapshot: Held, known: Mapping[str, Held]) -> bool:
    """Two stores have it and everything below it, and nobody has begun to remove any of that."""
    links = chain(snapshot.id, known)
    return links is not None and all(len(known[i].providers) >= QUORUM and not known[i].removing for i in links)


def _wanted(usable: Sequence[Held], policy: Policy) -> Iterable[tuple[str, str]]:
    """Each (snapshot, reason) that the policy and the fixed rules give. ``usable`` is in order of time."""
    if not usable:
        return
    yield usable[-1].id, "the newest"
    verified = [snapshot for snapshot in usable if snapshot.verified]
    if verified:
        yield verified[-1].id, "the last verified"
    for word, label, count in _PERIODS:
        newest = {label(snapshot.created_at): snapshot.id for snapshot in usable}
        wanted = count(policy)
        for period in list(newest)[-wanted:] if wanted > 0 else ():
            yield newest[period], f"{word} {period}"


def _keep_parents(reasons: dict[str, list[str]], known: Mapping[str, Held]) -> None:
    for name in sorted(reasons):
        at = known[name].parent
        passed = {name}
        while at in known and at not in passed:
            passed.add(at)
            reason = f"{name} is restored on top of it"
            if reason not in reasons.setdefault(at, []):
                reasons[at].append(reason)
            at = known[at].parent
