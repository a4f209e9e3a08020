"""Handlers that stop PostgreSQL, and that wait for it: received, primary, protected, serving.

What must never be here: starting or promoting. Keepers do that, because the record says so (safety G2).
"""

from __future__ import annotations

from typing import ClassVar

from failover.engine.handler import Context, Looked, See
from failover.errors import Undone, Unreachable
from failover.model.fleet import AppClass
from failover.model.observation import AgentState
from failover.model.plan import AwaitPrimary, AwaitProtected, AwaitReceived, AwaitServing, StopPrimary
from failover.model.units import format_lsn
from failover.operations.session import CALL_S, Session, within

_POLL_S = 0.03


class StopPrimaryHandler:
    """The site's own keeper stops PostgreSQL for this run, or starts it again when that takes too long."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: StopPrimary, context: Context) -> Looked:
        """Stopped cleanly, with the shutdown checkpoint known."""
        if self._session.stopped is not None:
            return Looked(see=See.DONE, detail=f"stopped at {format_lsn(self._session.stopped.checkpoint_lsn)}")
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE, detail="not sent yet")
        database = _state(self._session, context, action.site).database
        if database.state == "stopped" and database.clean_shutdown:
            self._session.stopped = database
            return Looked(see=See.DONE, detail=f"stopped at {format_lsn(database.checkpoint_lsn)}")
        return Looked(see=See.NOT_DONE, detail=f"PostgreSQL at {action.site} is {database.state}")

    def perform(self, action: StopPrimary, context: Context) -> str:
        """One call; its answer carries the control file's word."""
        database = self._session.wired.hosts.stop_primary(
            action.site, run=context.run, budget_s=action.budget_s, deadline_s=within(context, action.budget_s + 3.0)
        )
        if database.state != "stopped" or not database.clean_shutdown:
            raise Undone(f"PostgreSQL at {action.site} did not stop cleanly", hint="failover status")
        self._session.stopped = database
        return f"stopped at {format_lsn(database.checkpoint_lsn)}"


class AwaitReceivedHandler:
    """The target has flushed past the source's shutdown checkpoint, or nothing moves."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: AwaitReceived, context: Context) -> Looked:
        """What the last call said; in a resumed run, what the target says now."""
        if self._session.received is None and self._session.untouched(context):
            return Looked(see=See.NOT_DONE, detail="not asked yet")
        lsn = self._checkpoint(action, context)
        if self._session.received is None:
            self._session.received = _state(self._session, context, action.target).database
        position = self._session.received.position
        if position > lsn:
            return Looked(see=See.DONE, detail=f"received {format_lsn(position)} > {format_lsn(lsn)}")
        self._session.received = None
        return Looked(see=See.NOT_DONE, detail=f"received {format_lsn(position)}, needs more than {format_lsn(lsn)}")

    def perform(self, action: AwaitReceived, context: Context) -> str:
        """One call that answers as soon as it is so. Giving up here loses nothing."""
        lsn = self._checkpoint(action, context)
        database = self._session.wired.hosts.await_received(
            action.target, lsn=lsn, deadline_s=within(context, action.budget_s)
        )
        if database.position <= lsn:
            what = f"{action.target} has {format_lsn(database.position)}, {action.source} wrote {format_lsn(lsn)}"
            raise Undone(what, hint="the old primary starts again; look at the link between the two")
        self._session.received = database
        return f"received {format_lsn(database.position)}"

    def _checkpoint(self, action: AwaitReceived, context: Context) -> int:
        if self._session.stopped is None:
            database = _state(self._session, context, action.source).database
            if database.state != "stopped" or not database.clean_shutdown:
                raise Undone(f"PostgreSQL at {action.source} is {database.state}", hint="run the command again")
            self._session.stopped = database
        return self._session.stopped.checkpoint_lsn


class AwaitPrimaryHandler:
    """The site's keeper runs the record's primary. Nudged, so that it need not wait for its tick."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: AwaitPrimary, context: Context) -> Looked:
        """Its agent says: primary, with the copy the record names."""
        done = self._session.observed(context)
        if done:
            return Looked(see=See.DONE, detail=done)
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE, detail="not asked yet")
        state = _state(self._session, context, self._session.primary_site(action, context))
        return Looked(see=See.DONE if _is_primary(state) else See.NOT_DONE, detail=_standing(state))

    def perform(self, action: AwaitPrimary, context: Context) -> str:
        """Wake the keepers, then ask to be told the moment it is so: every millisecond here is a user's."""
        wired, clock, site = self._session.wired, context.clock, action.site
        # Only a run that has just stopped the old primary knows that its host lives; a dead one is not called.
        woken = [data.name for data in wired.fleet.data_sites] if self._session.stopped else [action.site]
        self._session.nudge(context, woken)
        why = ""
        while clock.boottime() < context.until_s and not context.halting():
            try:
                site = self._session.primary_site(action, context)
                state = wired.hosts.await_primary(site, deadline_s=within(context, CALL_S))
            except Unreachable as error:
                why = str(error)
                clock.sleep(_POLL_S)
            else:
                if _is_primary(state):
                    return self._session.done(context, _standing(state))
                why = _standing(state)
        raise Unreachable(f"{site} is not primary yet: {why}", hint="failover status --watch")


class AwaitProtectedHandler:
    """The record lists a sync member and the primary sees it stream."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: AwaitProtected, context: Context) -> Looked:
        """Both the record and the primary say so."""
        record = self._session.read_record(context)
        if record is None or not record.sync:
            return Looked(see=See.NOT_DONE, detail="no sync member in the record")
        state = _state(self._session, context, record.primary_site)
        streaming = {row.application_name for row in state.database.replicas if row.state == "streaming"}
        missing = [member for member in record.sync if member not in streaming]
        if missing:
            return Looked(see=See.NOT_DONE, detail=f"{missing[0]} does not stream yet")
        return Looked(see=See.DONE, detail=f"sync: {', '.join(record.sync)}")

    def perform(self, action: AwaitProtected, context: Context) -> str:
        """Nothing to send: keepers see to it. The engine looks again until it is so."""
        return ""


class AwaitServingHandler:
    """Every process the site should run runs, and its gates are open to the primary."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: AwaitServing, context: Context) -> Looked:
        """As its agent sees it; the edge counts as running only when it answers."""
        state = _state(self._session, context, action.site)
        failed = [service.name for service in state.services if service.state in ("failed", "starting")]
        if failed:
            return Looked(see=See.NOT_DONE, detail=f"{', '.join(failed)} not running")
        if state.gate.state != "open" and self._session.wired.fleet.app.promise is not AppClass.G4:
            return Looked(see=See.NOT_DONE, detail=f"gate: {state.gate.state}; {state.doing}")
        return Looked(see=See.DONE, detail=f"open to {state.gate.primary}")

    def perform(self, action: AwaitServing, context: Context) -> str:
        """Nothing to send."""
        return ""


def _is_primary(state: AgentState) -> bool:
    record, database = state.record, state.database
    if record is None or record.epoch == 0:
        return False
    return record.primary_site == state.site and database.state == "primary" and database.member == record.primary


def _standing(state: AgentState) -> str:
    doing = f", {state.doing}" if state.doing else ""
    return f"{state.site} is {state.database.state}{doing}"


def _state(session: Session, context: Context, site: str) -> AgentState:
    return session.wired.hosts.state(site, deadline_s=within(context, CALL_S))
