"""The planned return to the preferred site: a switchover like any other, with nothing of its own. Pure."""

from __future__ import annotations

import msgspec

from failover.model.fleet import Fleet
from failover.model.observation import FleetSeen
from failover.model.plan import Plan, Refusal
from failover.planner import switchover


class FailbackAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``run``: the run that asks."""

    run: str = ""


def plan(fleet: Fleet, seen: FleetSeen, ask: FailbackAsk) -> Plan | Refusal:
    """The switchover to ``fleet.preferred``; an empty plan when it is primary already."""
    return switchover.plan(
        fleet, seen, switchover.SwitchoverAsk(to=fleet.preferred, run=ask.run), verb="failback"
    )
