"""The handler that waits for the WAL shipper of a primary that is about to be stopped."""

from __future__ import annotations

from typing import ClassVar

from failover.engine.handler import Context, Looked, See
from failover.model.plan import RestShipper
from failover.operations.session import CALL_S, Session, within
from failover.planner.wal import SHIP


class RestShipperHandler:
    """Its agent sees the move in the record and has it hang up; a move that is taken back has it ship again."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: RestShipper, context: Context) -> Looked:
        """As its agent says. One from before there were shippers has none."""
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE, detail="not asked yet")
        state = self._session.wired.hosts.state(action.site, deadline_s=within(context, CALL_S))
        if state.shipping is not None and state.shipping.duty == SHIP:
            return Looked(see=See.NOT_DONE, detail=f"{action.site} still ships")
        return Looked(see=See.DONE, detail=f"{action.site} does not ship")

    def perform(self, action: RestShipper, context: Context) -> str:
        """Its agent reads the record now, instead of within half a second."""
        self._session.nudge(context, [action.site])
        return ""
