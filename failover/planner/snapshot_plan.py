"""What ``snapshot create`` and ``snapshot prune`` do, as plans. Pure; the choices themselves are made in ``snapshot``
and ``retention``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec

from failover.model.finding import Finding, Severity
from failover.model.plan import CopySnapshot, Plan, Refusal, RemoveSnapshot, RemoveWal, Step, TakeSnapshot
from failover.model.snapshot import QUORUM
from failover.model.stores import Policy
from failover.model.units import Lsn
from failover.planner.byhand import NOTHING
from failover.planner.retention import Held, Orphan, retain
from failover.planner.snapshot import Choice

CREATE, PRUNE = "snapshot create", "snapshot prune"
# The engine ends a step by its time; nobody knows how long a terabyte takes.
_TAKE_S = 7 * 86400.0
_COPY_S = 86400.0
_REMOVE_S = 3600.0
_LIST = "failover snapshot list"


class Behind(msgspec.Struct, frozen=True, kw_only=True):
    """A store that answers and lacks (some of) a snapshot that others have whole."""

    snapshot: str
    store: str


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Where in the WAL a snapshot begins."""

    id: str
    timeline: int
    start_lsn: Lsn


def create_plan(choice: Choice, behind: Sequence[Behind], *, newest: str) -> Plan:
    """The new snapshot first, because it is what is missing most; then what stores missed earlier. ``newest``: the last
    one that is there."""
    what = f"{choice.kind} snapshot of {choice.site}"
    take = Step(
        id="take",
        title=f"Take a {what} to {', '.join(choice.stores)}",
        action=TakeSnapshot(
            kind=choice.kind,
            parent=choice.parent,
            newest=newest,
            site=choice.site,
            stores=choice.stores,
            reasons=choice.why,
        ),
        why="; ".join(choice.why),
        site=choice.site,
        timeout_s=_TAKE_S,
        command="# docs/snapshots.md, \"By hand\"",
        check=_LIST,
        back=f"# nothing counts before {QUORUM} providers' stores have its manifest",
    )
    copies = [
        Step(
            id=f"copy-{one.store}-{one.snapshot}",
            title=f"Give {one.store} what it lacks of {one.snapshot}",
            action=CopySnapshot(snapshot=one.snapshot, store=one.store),
            why="a snapshot that fewer stores have is lost more easily",
            timeout_s=_COPY_S,
            required=False,
            lane=one.store,
            after=("take",),
            command="# copy the objects from a store that has them, snapshot.json last",
            check=_LIST,
            back=NOTHING,
        )
        for one in behind
    ]
    return Plan(
        verb=CREATE,
        summary=what,
        steps=(take, *copies),
        promise=f"it counts once {QUORUM} providers' stores have all of it",
        measured=tuple(f"{name} does not answer: it is caught up later" for name in choice.missing),
    )


def prune_plan(
    held: Sequence[Held],
    orphans: Sequence[Orphan],
    *,
    policy: Policy,
    now: datetime,
    stores: Sequence[str],
    system_identifier: str,
    unreachable: dict[str, str],
    damaged: Sequence[str],
    begins: Sequence[Kept],
    oldest_timeline: int,
) -> Plan | Refusal:
    """What goes, one step each, children before their parents; each one that stays with its reasons.

    Refused while a store does not answer: what it holds would come back from there. ``begins``: of every snapshot of
    ``held``; ``oldest_timeline``: the oldest one with shipped WAL (0: none was shipped)."""
    if unreachable:
        return _silent(unreachable)
    retention = retain(held, orphans, policy=policy, now=now)
    steps = [
        Step(
            id=f"remove-{one.id}",
            title=f"Remove {one.id}: {one.why}",
            action=RemoveSnapshot(system_identifier=system_identifier, snapshot=one.id, stores=tuple(stores)),
            why=one.why,
            timeout_s=_REMOVE_S,
            required=False,
            command="# delete its objects in every store, snapshot.json first",
            check=_LIST,
            back="# none: what is removed is gone",
        )
        for one in retention.remove
    ]
    kept = {one.id for one in retention.keep}
    wal = None if damaged else _wal(system_identifier, [one for one in begins if one.id in kept], oldest_timeline)
    if steps and wal is not None:
        steps.append(wal)
    doubts = ["shipped WAL stays: it is not known what the damaged ones need"] if damaged and steps else []
    return Plan(
        verb=PRUNE,
        summary=f"keep {len(retention.keep)}, remove {len(retention.remove)}",
        steps=tuple(steps),
        hazards=tuple(f"{one.id} is gone for ever" for one in retention.remove),
        measured=(*(f"kept: {one.id}: {'; '.join(one.why)}" for one in retention.keep), *damaged, *doubts),
    )


def _silent(unreachable: dict[str, str]) -> Refusal:
    findings = tuple(
        Finding(
            code="store-unreachable",
            severity=Severity.ERROR,
            message=f"store {name} does not answer, and what it holds would come back from it: {why}",
            hint="if it is gone for good, take it out of the fleet file",
        )
        for name, why in sorted(unreachable.items())
    )
    return Refusal(verb=PRUNE, summary="prune is refused; nothing was removed", findings=findings)


def _wal(system_identifier: str, kept: Sequence[Kept], oldest_timeline: int) -> Step | None:
    """WAL before the oldest snapshot that stays leads nowhere."""
    if not kept or not oldest_timeline:
        return None
    first = min(kept, key=lambda one: (one.timeline, one.start_lsn))
    return Step(
        id="remove-wal",
        title=f"Remove shipped WAL from before {first.id}",
        action=RemoveWal(system_identifier=system_identifier, timeline=first.timeline, before=first.start_lsn),
        why="no snapshot that stays is followed by it",
        timeout_s=_REMOVE_S,
        required=False,
        command="# delete the chunks whose names end at or before that LSN",
        check=_LIST,
        back="# none: what is removed is gone",
    )
