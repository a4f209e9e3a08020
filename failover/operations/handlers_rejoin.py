"""Handlers of a quarantined copy's way back: the release in the record, and the wait until its keeper has made a new
copy of it.

What must never be here: touching the copy. Its keeper saves the evidence, then rewinds, when the record allows it.
"""

from __future__ import annotations

from typing import ClassVar

from failover.engine.handler import Context, Looked, See
from failover.errors import Refused, Unreachable
from failover.model.observation import AgentState
from failover.model.plan import AwaitRejoined, ReleaseQuarantine
from failover.model.record import Record
from failover.model.units import site_of
from failover.operations.handlers_record import read_record, swap_record
from failover.operations.session import CALL_S, Session, within

_POLL_S = 0.1


class ReleaseQuarantineHandler:
    """Notes the release in the record. From here on the keeper may rewind the copy."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: ReleaseQuarantine, context: Context) -> Looked:
        """Is the copy still quarantined?"""
        record = read_record(self._session, context)
        if record.quarantine(action.member) is None:
            return Looked(see=See.DONE, detail=f"{action.member} is not quarantined")
        return Looked(see=See.NOT_DONE, detail=f"{action.member} is quarantined")

    def perform(self, action: ReleaseQuarantine, context: Context) -> str:
        """Swap it in, once the site has said that what only this copy has is saved."""
        site = site_of(action.member)
        state = self._session.wired.hosts.state(site, deadline_s=within(context, CALL_S))
        if state.database.member != action.member or state.kept is None:
            raise Refused(f"{site} has not saved what only {action.member} has", hint="failover status")

        def change(record: Record) -> Record:
            if record.quarantine(action.member) is None:
                raise Refused("the record changed since the plan was made", hint="run the command again")
            return record.release(action.member, context.run)

        swap_record(self._session, context, change)
        self._session.nudge(context, [site])
        return f"{state.kept.commits} commits are kept as {state.kept.id}"


class AwaitRejoinedHandler:
    """A new copy at the site streams."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: AwaitRejoined, context: Context) -> Looked:
        """Another member id, and it streams."""
        state = self._session.wired.hosts.state(action.site, deadline_s=within(context, CALL_S))
        return Looked(see=See.DONE if _rejoined(action, state) else See.NOT_DONE, detail=_standing(state))

    def perform(self, action: AwaitRejoined, context: Context) -> str:
        """Wait; its keeper does it."""
        clock, told = context.clock, ""
        while clock.boottime() < context.until_s and not context.halting():
            try:
                state = self._session.wired.hosts.state(action.site, deadline_s=within(context, CALL_S))
            except Unreachable as error:
                told = str(error)
            else:
                told = _standing(state)
                if _rejoined(action, state):
                    return told
            clock.sleep(_POLL_S)
        raise Unreachable(f"{action.site} has not rejoined yet: {told}", hint="failover status --watch")


def _rejoined(action: AwaitRejoined, state: AgentState) -> bool:
    database = state.database
    return database.member not in ("", action.member) and database.state == "standby" and database.streaming


def _standing(state: AgentState) -> str:
    return f"{state.database.member or 'no copy'}, {state.database.state}: {state.doing}"
