"""The record: the small truth of a fleet (safety C). Values and the transitions that are legal between them.

What must never be here: I/O, clocks, or who is allowed to ask; that is the port's and the planner's.
"""

from __future__ import annotations

import msgspec

from failover.model.units import Lsn, MemberId, site_of


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """One WAL timeline and where it left its parent; a rewind is judged against these (safety C5)."""

    tli: int
    fork_lsn: Lsn


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """A run's claim on the fleet while it lasts.

    ``budget_s`` is a length, not an instant: boot clocks of two hosts cannot be compared, so each keeper counts it on
    its own CLOCK_BOOTTIME from the moment it first read this move (safety C2, D5).
    ``kind`` "promote" is an operator's request to the candidate's keeper; it is no command and passes every guard.
    """

    run: str
    kind: str  # "switchover" | "promote"
    source: MemberId
    target: MemberId
    budget_s: float


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Who may acknowledge writes, and which copies hold every acknowledged one.

    Invariant: every write acknowledged while ``sync`` is not empty is durable on ``primary`` and on every member of
    ``sync``; so any single member of ``sync`` may be promoted alone (safety B3).
    ``epoch`` grows by one with each change of ``primary``; ``revision`` with every swap. Epoch 0 is a fleet that was
    declared and never had data: only then may a keeper create an empty database (never again after).
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

    @property
    def primary_site(self) -> str:
        """The site that holds the primary copy."""
        return site_of(self.primary)

    def next(self, **changes: object) -> Record:
        """The record after one swap: ``changes`` applied, revision one higher."""
        return msgspec.structs.replace(self, revision=self.revision + 1, **changes)


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
    if after.primary != before.primary and not born and after.primary not in before.sync:
        return f"{after.primary} was not in sync: it may lack acknowledged writes"
    if after.primary in after.sync:
        return "the primary cannot be its own sync member"
    if after.system_identifier != before.system_identifier and before.system_identifier:
        return "the database system identifier never changes"
    if len(after.timelines) < len(before.timelines):
        return "timelines are only ever added"
    return ""
