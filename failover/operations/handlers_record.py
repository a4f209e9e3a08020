"""Handlers of the record: its first version, a run's move, and the commit. Every write is a swap of what was read.

What must never be here: a plain write. A swap that another writer beat is read again and judged again (safety C1).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from failover.engine.handler import Context, Looked, See
from failover.errors import FailoverError, LeaseLost, Refused, Unreachable
from failover.model.plan import ClaimMove, ClearMove, CommitMove, CreateRecord
from failover.model.record import Move, Record
from failover.operations.session import CALL_S, Session, within
from failover.planner import record_changes
from failover.ports.record import Lease

_TRIES = 5


class CreateRecordHandler:
    """The birth of a fleet: refused while any site holds data or a record exists."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: CreateRecord, context: Context) -> Looked:
        """Is there a record? Voters that are starting are waited for."""
        record = self._session.read_record(context)
        if record is None:
            return Looked(see=See.NOT_DONE, detail="no record yet")
        self._session.wired.born_marker.write_text(record.primary + "\n", encoding="utf-8")
        if context.performed or record.primary == action.member or record.epoch > 0:
            return Looked(see=See.DONE, detail=f"epoch {record.epoch}, primary {record.primary}")
        raise Refused(f"a record exists and names {record.primary}", hint="failover deploy")

    def perform(self, action: CreateRecord, context: Context) -> str:
        """Create it, once every data site has said that it holds no copy."""
        wired = self._session.wired
        for site in wired.fleet.data_sites:
            state = wired.hosts.state(site.name, deadline_s=within(context, CALL_S))
            if state.database.state != "absent":
                raise Refused(
                    f"{site.name} holds a copy ({state.database.member}) and there is no record",
                    hint="start a majority of the voters again; a lost record is restored from a voter's data folder",
                )
        first = Record(epoch=0, revision=1, primary=action.member)
        wired.record.create(first, lease=self._lease(context), deadline_s=within(context, CALL_S))
        return f"{action.member} may be born"

    def _lease(self, context: Context) -> Lease:
        # The very first run began before there were voters to hold a lease; it takes it as soon as there are.
        lease = context.lease or self._session.record_lease()
        if lease is None:
            raise Unreachable("the run's lease cannot be had yet", where="record")
        return lease


class ClaimMoveHandler:
    """Writes this run's move; nothing else about the record changes."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: ClaimMove, context: Context) -> Looked:
        """Is the move in the record ours? For a promote it may be gone already: then the keeper has acted."""
        record = read_record(self._session, context)
        if action.kind == "promote" and record.primary == action.target:
            return Looked(see=See.DONE, detail=f"the keeper has taken over in epoch {record.epoch}")
        if record.move is not None and record.move.run == context.run:
            return Looked(see=See.DONE, detail=f"claimed in revision {record.revision}")
        return Looked(see=See.NOT_DONE, detail="no move of this run in the record")

    def perform(self, action: ClaimMove, context: Context) -> str:
        """Swap it in while the record still says what the plan was made for."""
        move = Move(
            run=context.run,
            kind=action.kind,
            source=action.source,
            target=action.target,
            budget_s=action.budget_s,
            accept_loss_s=action.accept_loss_s,
        )
        record = swap_record(self._session, context, lambda record: record_changes.claimed(record, move))
        return f"claimed in revision {record.revision}"


class ClearMoveHandler:
    """Takes this run's move out again; keepers then start the primary they stopped."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: ClearMove, context: Context) -> Looked:
        """Gone, by whoever's hand."""
        record = read_record(self._session, context)
        if record.move is not None and record.move.run == context.run:
            return Looked(see=See.NOT_DONE, detail="the move is still in the record")
        return Looked(see=See.DONE, detail=f"no move of this run, primary {record.primary}")

    def perform(self, action: ClearMove, context: Context) -> str:
        """Swap it away, and wake the keeper that stands down for it."""
        record = swap_record(self._session, context, lambda record: record_changes.unclaimed(record, context.run))
        _nudge(self._session, context, record.primary_site)
        return f"cleared in revision {record.revision}"


class CommitMoveHandler:
    """The commit step of a planned move: one swap, never sent twice without a look in between."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: CommitMove, context: Context) -> Looked:
        """Does the record name the target? A record that neither names it nor carries our move is a definite no."""
        done = self._session.observed(context)
        if done:
            return Looked(see=See.DONE, detail=done)
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE, detail="not sent yet")
        record = read_record(self._session, context)
        if record.primary == action.target:
            return Looked(see=See.DONE, detail=f"epoch {record.epoch}")
        return Looked(see=See.NOT_DONE, detail=f"primary is still {record.primary}")

    def perform(self, action: CommitMove, context: Context) -> str:
        """Swap: epoch + 1, primary the target, sync the source, the move gone, the fork noted."""
        received = self._session.received

        def change(record: Record) -> Record:
            return record_changes.committed(
                record, context.run, source=action.source, target=action.target, received=received
            )

        record = swap_record(self._session, context, change)
        # Both sides act on the record alone; every millisecond until they look is a user's.
        self._session.nudge(context, [site.name for site in self._session.wired.fleet.data_sites])
        return self._session.done(context, f"epoch {record.epoch}, primary {record.primary}")


def read_record(session: Session, context: Context) -> Record:
    """The record now; raises ``Unreachable`` when there is none."""
    record = session.read_record(context)
    if record is None:
        raise Unreachable("there is no record", where="record", hint="failover status")
    return record


def swap_record(session: Session, context: Context, change: Callable[[Record], Record]) -> Record:
    """Read, change, swap; again when another writer was first. ``change`` raises when its ground is gone.

    The first try takes what this run's last swap left for what is there now: a keeper stands down while the move is
    live, so it mostly is, the comparison of revisions finds out when it is not, and the pause is a read shorter.
    """
    if context.lease is None:
        raise LeaseLost("this run holds no lease of the record", hint="run the command again")
    known, session.swapped = session.swapped, None
    for _ in range(_TRIES):
        record, known = known or read_record(session, context), None
        new = change(record)
        swapped = session.wired.record.swap(
            expected_revision=record.revision, new=new, lease=context.lease, deadline_s=within(context, CALL_S)
        )
        if swapped:
            session.swapped = new
            return new
    raise Unreachable(f"others changed the record {_TRIES} times meanwhile", where="record", hint="failover status")


def _nudge(session: Session, context: Context, site: str) -> None:
    """A keeper finds the change by itself within its tick; the nudge only spares the wait."""
    try:
        session.wired.hosts.nudge(site, deadline_s=within(context, 0.5))
    except FailoverError as error:
        context.note(f"{site} was not nudged: {error}")

