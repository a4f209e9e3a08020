"""The one path of every change: lease -> observe -> plan -> preflight -> approve -> execute -> observe again -> report.

What must never be here: a second way. Whatever changes a fleet is a plan with a digest that passed through here.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from failover import kernel
from failover.engine.clock import BootClock
from failover.engine.executor import Tools, execute
from failover.engine.handler import RunResult, StepResult
from failover.engine.interrupt import Interrupt
from failover.engine.lease import FLEET
from failover.engine.order import commit_step
from failover.engine.owner import this_process
from failover.errors import FailoverError, Refused
from failover.model.journal import Outcome
from failover.model.observation import FleetSeen
from failover.model.plan import AwaitPrimary, ClaimMove, Plan, Refusal
from failover.model.run_report import RunReport, StepEnd
from failover.model.status import Level
from failover.operations.handlers import handlers
from failover.operations.inspect import LOOK_S, look, names, wanted_specs
from failover.operations.proven import proven_age_s
from failover.operations.run_lease import RunGuard, run_lease
from failover.operations.session import Session
from failover.operations.snapshot_wishes import CreateWish
from failover.operations.verbs import DeployWish, DestroyWish, Wish, decide, lease_name, needs_record
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.planner.check import judge
from failover.planner.exposure import told_after

_RECORD_S = 30.0
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """How the plan is approved: by its ``digest``, by ``yes``, or by asking a person (``ask`` says whether)."""

    digest: str = ""
    yes: bool = False
    ask: Callable[[Plan], bool] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nothing:
    """There was nothing to do; ``summary`` says why, ``told`` what the plan had seen."""

    verb: str
    summary: str
    told: tuple[str, ...] = ()


Answer = RunReport | Refusal | Nothing


def propose(wired: Wired, wish: Wish) -> Plan | Refusal:
    """Observe and plan; changes nothing, takes no lease. What ``--dry-run`` shows."""
    return decide(wired, wish, look(wired))


def carry_out(
    wired: Wired, wish: Wish, *, approval: Approval, watch: Watch, interrupt: Interrupt
) -> Answer:
    """Do it. Raises ``Refused`` when it is not approved, ``LeaseHeld`` when another run is at work, and what the
    engine raises when a run stops (``Undone``, ``Resumable``, ``Interrupted``)."""
    owner = this_process()
    with run_lease(
        wired,
        owner=f"{owner}, {wish.verb}",
        clock=BootClock(),
        record_needed=needs_record(wish),
        tell=watch.note,
        name=lease_name(wish.verb),
    ) as guard:
        while True:
            plan = decide(wired, wish, look(wired))
            if isinstance(plan, Refusal):
                return plan
            if plan.empty:
                return Nothing(verb=plan.verb, summary=plan.summary, told=plan.measured)
            approve(plan, approval)
            result = _execute(wired, plan, guard, watch, interrupt)
            if isinstance(wish, CreateWish) and (error := first_error(result)) is not None:
                raise error
            if whole_fleet(wired, wish) and not result.failures:
                guard.record_is_gone()
            if result.failures or not isinstance(wish, DeployWish):
                return report(wired, plan, result, watch)
            if not any(isinstance(step.action, AwaitPrimary) for step in plan.steps):
                # It could only bring hosts back, because nobody could tell who is primary: plan again.
                watch.note("the hosts are back; now what depends on the record")
                _await_record(wired, interrupt)
                guard.take()
            elif (now := _taken_over(wired, plan)) and not approval.digest:
                watch.note(f"{now} took over meanwhile; now what that leaves to do")
            else:
                return report(wired, plan, result, watch)


def approve(plan: Plan, approval: Approval) -> None:
    """Return when ``plan`` may be carried out, else raise ``Refused``."""
    if approval.digest:
        if approval.digest != plan.digest:
            raise Refused(
                f"the approval names plan {approval.digest}, but now the plan is {plan.digest}",
                hint=f"look at it again: failover {plan.verb} … --dry-run",
            )
        return
    if approval.yes:
        return
    if approval.ask is None:
        raise Refused(
            f"plan {plan.digest} was not approved and nobody can be asked here",
            hint=f"add --approve {plan.digest} (exactly this plan) or --yes",
        )
    if not approval.ask(plan):
        raise Refused(f"plan {plan.digest} was not approved", hint="nothing was changed")


def tools_of(wired: Wired, guard: RunGuard, watch: Watch, interrupt: Interrupt, *, resumed: bool) -> Tools:
    """What the engine works with."""
    session = Session(
        wired=wired, resumed=resumed, progress=watch.stack, flow=watch.flow, record_lease=guard.take
    )
    return Tools(
        handlers=handlers(session),
        journal=wired.journal,
        guard=guard,
        progress=watch.step,
        clock=BootClock(),
        interrupt=interrupt,
    )


def report(wired: Wired, plan: Plan, result: RunResult, watch: Watch) -> RunReport:
    """Observe again and say how it ended. Never fails because of what can no longer be asked."""
    missed = [f"{one.step.title}: {one.detail or 'not done'}{_next(one)}" for one in result.failures]
    after = None
    lost: tuple[str, ...] = ()
    if lease_name(plan.verb) == FLEET and plan.verb != "destroy":
        watch.note("looking at the fleet again")
        seen = look(wired)
        verdict = judge(
            wired.fleet, seen, specs=wanted_specs(wired), names=names(wired, seen), proven_age_s=proven_age_s(wired)
        )
        after = verdict.view
        lost = _lost(plan, seen)
        if verdict.level is Level.CRITICAL:
            missed.append(f"afterwards: {verdict.summary}")
    return RunReport(
        verb=plan.verb,
        run=result.run,
        digest=plan.digest,
        state=result.state.value,
        summary=plan.summary,
        seconds_s=round(result.seconds, 3),
        steps=tuple(
            StepEnd(
                id=one.step.id,
                title=one.step.title,
                outcome=one.outcome.value if one.outcome is not None else "not tried",
                detail=one.detail,
                seconds_s=round(one.seconds, 3),
                performed=one.performed,
                required=one.step.required,
            )
            for one in result.steps
        ),
        missed=tuple(missed),
        after=after,
        at_risk=plan.at_risk,
        lost=lost,
    )


def _next(failed: StepResult) -> str:
    """What to type about it, where the error knows."""
    error = failed.error
    return f"; {error.hint}" if isinstance(error, FailoverError) and error.hint else ""


def _lost(plan: Plan, seen: FleetSeen) -> tuple[str, ...]:
    claims = [step.action for step in plan.steps if isinstance(step.action, ClaimMove)]
    return tuple(
        told for claim in claims if claim.kind == "promote" for told in told_after(claim.source, claim.target, seen)
    )


def first_error(result: RunResult) -> FailoverError | None:
    """Why the first required step that failed did."""
    for one in result.steps:
        if one.step.required and one.outcome is not Outcome.DONE and isinstance(one.error, FailoverError):
            return one.error
    return None


def _execute(wired: Wired, plan: Plan, guard: RunGuard, watch: Watch, interrupt: Interrupt) -> RunResult:
    lease = guard.lease
    token = lease.token if lease is not None else ""
    claim = wired.journal.begin(plan=plan, owner=this_process(), lease_token=token)
    if guard.took_over:
        wired.journal.note(claim, text=guard.took_over)
    tools = tools_of(wired, guard, watch, interrupt, resumed=False)
    if commit_step(plan) is not None:
        kernel.hurry()
    return execute(plan, claim=claim, tools=tools)


def _taken_over(wired: Wired, plan: Plan) -> str:
    """The site that became primary while ``plan`` was carried out, which its names and edges do not know, or ``""``.

    An automatic promotion needs no operator and waits for none, so it may come in the middle of a deploy."""
    try:
        record = wired.record.read(deadline_s=LOOK_S)
    except FailoverError:
        return ""  # the look that the report is made of says so
    planned = {step.action.site for step in plan.steps if isinstance(step.action, AwaitPrimary)}
    return record.primary_site if record is not None and record.primary_site not in planned else ""


def _await_record(wired: Wired, interrupt: Interrupt) -> None:
    """Voters of hosts that have just been started need a moment to find a majority."""
    clock = BootClock()
    until_s = clock.boottime() + _RECORD_S
    while clock.boottime() < until_s and not interrupt.times:
        if look(wired).record is not None:
            return
        clock.sleep(_PAUSE_S)


def whole_fleet(wired: Wired, wish: Wish) -> bool:
    """A destroy of every site, after which the state folder goes too."""
    if not isinstance(wish, DestroyWish):
        return False
    return not wish.sites or set(wish.sites) == {site.name for site in wired.fleet.sites}


def empty_state_folder(wired: Wired) -> None:
    """After the whole fleet is gone: trust, journal, reports and all. Call it with nothing of it open any more."""
    wired.close()
    for path in wired.state_dir.iterdir() if wired.state_dir.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
