"""The record: the small truth of a fleet (safety C). Values and the transitions that are legal between them.

What must never be here: I/O, clocks, or who is allowed to ask; that is the port's and the planner's.
"""

from __future__ import annotations

import msgspec

from failover.model.units import Lsn, MemberId, site_of

PLAIN_VERSION, QUARANTINE_VERSION = 1, 2


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """One WAL timeline and where it left its parent; a rewind is judged against these (safety C5)."""

    tli: int
    fork_lsn: Lsn


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A run's claim on the fleet while it lasts.

    ``budget_s`` is a length, not an instant: boot clocks of two hosts cannot be compared, so each keeper counts it on
    its own CLOCK_BOOTTIME from the moment it first read this move (safety C2, D5).
    ``kind`` "promote" is an operator's request to the candidate's keeper; it is no command and passes every guard.
    ``accept_loss_s``: with "promote", the stretch of acknowledged writes its operator has agreed to lose (0: none).
    """

    run: str
    kind: str  # "switchover" | "promote"
    source: MemberId
    target: MemberId
    budget_s: float
    accept_loss_s: float = 0.0


class Alone(msgspec.Struct, frozen=True, kw_only=True):
    """A primary without a sync member says how long it has acknowledged alone: what is at risk, before it is lost.

    ``from_lsn``: its position when nobody was sync any more; ``held_by`` then had every write acknowledged until then.
    ``written_lsn`` and ``seconds_s`` (its own count) are of the last publication, made at ``at_unix_s`` by its wall
    clock, which is for people and for an upper bound only (safety D5).
    """

    from_lsn: Lsn
    held_by: tuple[MemberId, ...] = ()
    written_lsn: Lsn
    seconds_s: float
    at_unix_s: float


class AcceptedLoss(msgspec.Struct, frozen=True, kw_only=True):
    """A promotion that an operator let happen although writes acknowledged by ``source`` alone may be lost.

    ``source`` is quarantined: its copy holds what was lost, so nobody rewinds it until ``released_by`` names the run
    in which an operator said so (safety C6). ``fork_lsn``: how far the promoted copy had come.
    """

    epoch: int
    run: str
    source: MemberId
    target: MemberId
    fork_lsn: Lsn
    accepted_s: float
    released_by: str = ""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Who may acknowledge writes, and which copies hold every acknowledged one.

    Invariant: every write acknowledged while ``sync`` is not empty is durable on ``primary`` and on every member of
    ``sync``; so any single member of ``sync`` may be promoted alone (safety B3).
    ``epoch`` grows by one with each change of ``primary``; ``revision`` with every swap. Epoch 0 is a fleet that was
    declared and never had data: only then may a keeper create an empty database (never again after).
    ``version`` is the lowest version of a reader that may act on it: 2 while a copy is quarantined, because an agent
    that does not know of quarantine would rewind it. ``unknown``: fields a newer agent wrote, kept as JSON text.
    """

    version: int = 1
    epoch: int
    revision: int
    primary: MemberId
    sync: tuple[MemberId, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    move: Move | None = None
    flushed_lsn: Lsn = 0
    system_identifier: str = ""
    alone: Alone | None = None
    accepted: tuple[AcceptedLoss, ...] = ()
    unknown: tuple[tuple[str, str], ...] = ()

    @property
    def primary_site(self) -> str:
        """The site that holds the primary copy."""
        return site_of(self.primary)

    def next(self, **changes: object) -> Record:
        """The record after one swap: ``changes`` applied, revision one higher."""
        new = msgspec.structs.replace(self, revision=self.revision + 1, **changes)
        waiting = any(not loss.released_by for loss in new.accepted)
        return msgspec.structs.replace(new, version=QUARANTINE_VERSION if waiting else PLAIN_VERSION)

    def quarantine(self, member: str) -> AcceptedLoss | None:
        """The accepted loss for which ``member``'s copy is kept as it is, or ``None``."""
        return next((loss for loss in self.accepted if loss.source == member and not loss.released_by), None)

    def release(self, member: str, run: str) -> Record:
        """The record after ``run`` released ``member``'s quarantine."""
        released = tuple(
            msgspec.structs.replace(loss, released_by=run) if loss == self.quarantine(member) else loss
            for loss in self.accepted
        )
        return self.next(accepted=released)


def illegal(before: Record | None, after: Record) -> str:
    """Why ``before -> after`` is not a legal transition, or ``""``. Adapters refuse to write what this names."""
    if before is None:
        return "" if after.epoch == 0 and after.revision == 1 else "a first record has epoch 0 and revision 1"
    if after.revision != before.revision + 1:
        return f"revision {before.revision} -> {after.revision}: must grow by one"
    if after.epoch not in (before.epoch, before.epoch + 1):
        return f"epoch {before.epoch} -> {after.epoch}: may stay or grow by one"
    if after.primary != before.primary and after.epoch == before.epoch:
        return "another primary needs another epoch"
    born = before.epoch == 0
    accepted = _newly_accepted(before, after)
    if accepted is None:
        return "accepted losses are never forgotten, and at most one is added"
    if after.primary != before.primary and not born and after.primary not in before.sync:
        if not accepted:
            return f"{after.primary} was not in sync: it may lack acknowledged writes"
        if not _as_accepted(before, after, accepted[0]):
            return f"{after.primary} was not in sync, and what was accepted is something else"
    elif accepted:
        return "a loss is accepted only for a promotion that needs it"
    if after.primary in after.sync:
        return "the primary cannot be its own sync member"
    if after.system_identifier != before.system_identifier and before.system_identifier:
        return "the database system identifier never changes"
    if len(after.timelines) < len(before.timelines):
        return "timelines are only ever added"
    return ""


def _newly_accepted(before: Record, after: Record) -> tuple[AcceptedLoss, ...] | None:
    """What ``after`` accepts that ``before`` did not; ``None`` when it forgot or changed an earlier one. Only a release
    may be noted in one, once."""
    kept, added = after.accepted[: len(before.accepted)], after.accepted[len(before.accepted) :]
    if len(kept) < len(before.accepted) or len(added) > 1:
        return None
    for old, new in zip(before.accepted, kept, strict=True):
        if old != new and (old.released_by or msgspec.structs.replace(new, released_by="") != old):
            return None
    return added


def _as_accepted(before: Record, after: Record, loss: AcceptedLoss) -> bool:
    """The loss is the one an operator's move in ``before`` accepted, and no copy was there that would lose nothing."""
    move = before.move
    return (
        move is not None
        and move.kind == "promote"
        and 0.0 < move.accept_loss_s == loss.accepted_s
        and not before.sync
        and (loss.run, loss.source, loss.target) == (move.run, before.primary, move.target)
        and (loss.target, loss.epoch) == (after.primary, after.epoch)
        and not loss.released_by
    )
