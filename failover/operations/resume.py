"""Going on with a run that stopped, under a new lease, from its stored plan."""

from __future__ import annotations

from failover.engine.clock import BootClock
from failover.engine.interrupt import Interrupt
from failover.engine.owner import this_process
from failover.engine.resume import resume as go_on
from failover.model.run_report import RunReport
from failover.operations.carry_out import report, tools_of
from failover.operations.run_lease import run_lease
from failover.operations.verbs import lease_name
from failover.operations.watch import Watch
from failover.operations.wired import Wired

_WITHOUT_RECORD = ("deploy", "destroy", "snapshot create")


def resume(wired: Wired, run: str, *, undo: bool, watch: Watch, interrupt: Interrupt) -> RunReport:
    """Forward, or (``undo``) back. Raises as ``engine.resume`` does; ``UsageError`` for a run that is over."""
    plan = wired.journal.plan(run)
    owner = this_process()
    needed = plan.verb not in _WITHOUT_RECORD
    told = f"{owner}, resume {run}"
    with run_lease(
        wired, owner=told, clock=BootClock(), record_needed=needed, tell=watch.note, name=lease_name(plan.verb)
    ) as guard:
        tools = tools_of(wired, guard, watch, interrupt, resumed=True)
        result = go_on(run, owner=owner, undo=undo, tools=tools)
        return report(wired, plan, result, watch)
