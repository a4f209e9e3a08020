"""Going on with a run whose process died or which stopped: from its stored plan, never from a new one.

Why a look is enough here: the caller holds a *new* lease, and the record refuses the writes of the old one, so an
unanswered commit of the dead process can no longer arrive late. "Not done" is then final.
"""

from __future__ import annotations

from failover.engine.executor import Execution, Tools
from failover.engine.handler import Context, Looked, RunResult, See, StepResult
from failover.engine.history import history
from failover.engine.order import check_plan, commit_step
from failover.errors import Damaged, FailoverError, Unreachable, UsageError
from failover.model.journal import Outcome, RunState
from failover.model.plan import Step
from failover.ports.journal import Claim, Journal, Owner

_PAUSE_S = 0.1


def may_undo(journal: Journal, run: str) -> bool:
    """True while the run can still be taken back: it has a commit step, and that was not begun. Raises ``Damaged``."""
    return commit_step(journal.plan(run)) is not None and not journal.run(run).committed


def resume(run: str, *, owner: Owner, undo: bool, tools: Tools) -> RunResult:
    """Go on forward, or (``undo``) take back; needs the fleet's lease in ``tools.guard``. Returns and raises as
    ``execute``.

    Done steps are looked at again. A run whose undo had begun is only ever undone further. Once the commit step is
    seen done, what came before it is left alone: gates are not held nor databases stopped a second time. While it is
    seen not done, everything before it is made true again first. Raises ``UsageError`` when there is nothing to go
    on with, ``Damaged`` when journal and plan disagree.
    """
    journal = tools.journal
    view, plan, lines = journal.run(run), journal.plan(run), journal.lines(run)
    if view.state in (RunState.DONE, RunState.UNDONE):
        raise UsageError(f"run {run} is over: {view.state}", hint="failover journal list")
    if undo and not may_undo(journal, run):
        raise UsageError(f"run {run} cannot be taken back: there is only forward", hint=f"failover resume {run}")
    check_plan(plan, tools.handlers)
    past = history(lines)
    lease = tools.guard.lease
    claim = journal.take_over(run, owner=owner, lease_token=lease.token if lease is not None else "")
    execution = Execution(plan, claim, tools, past, committed=view.committed)
    if not view.committed:
        if undo or past.undoing:
            execution.undo_only()
        return execution.forward()
    commit = commit_step(plan)
    if commit is None:
        raise Damaged(f"run {run} is marked as committed, but its plan has no commit step", where=run)
    began_s = tools.clock.boottime()
    looked = _look(commit, claim, tools)
    if looked.see is See.UNKNOWN:
        execution.stop(f"whether the commit step is done cannot be told: {looked.detail}")
    if looked.see is See.DONE:
        seconds = tools.clock.boottime() - began_s
        journal.result(claim, step=commit, outcome=Outcome.DONE, detail=looked.detail, seconds=seconds)
        execution.settle_before_commit(
            StepResult(step=commit, outcome=Outcome.DONE, detail=looked.detail, seconds=seconds)
        )
    return execution.forward()


def _look(commit: Step, claim: Claim, tools: Tools) -> Looked:
    """Ask until the answer is sure or the step's time is over."""
    until_s = tools.clock.boottime() + commit.timeout_s
    context = Context(
        run=claim.run,
        step=commit,
        lease=tools.guard.lease,
        until_s=until_s,
        clock=tools.clock,
        performed=False,
        undoing=False,
        note=lambda text: tools.journal.note(claim, text=text, step=commit),
        halting=lambda: tools.interrupt.times > 0,
    )
    while True:
        try:
            looked = tools.handlers[type(commit.action)].look(commit.action, context)
        except Unreachable as error:
            looked = Looked(see=See.UNKNOWN, detail=str(error))
        except FailoverError as error:  # a guard that does not hold: the commit is not there
            looked = Looked(see=See.NOT_DONE, detail=str(error))
        if looked.see is not See.UNKNOWN or tools.clock.boottime() >= until_s or context.halting():
            return looked
        tools.clock.sleep(_PAUSE_S)
