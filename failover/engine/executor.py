"""Carries a plan out. It decides nothing: what to do stands in the plan, whether it is done the looks say.

Rules, from outages:
* Before the commit step's intent is on disk every failure and every interrupt leads back: what has an intent is
  undone, newest first. After it there is only forward; nothing is ever undone then.
* The commit step begins only while no required step has failed, and with the lease checked the instant before.
* A plan without a commit step is not undone: its lanes end on their own and the next run goes forward again.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import NoReturn

from failover.engine.act import Act
from failover.engine.clock import Clock
from failover.engine.handler import Guard, Handlers, Progress, RunResult, StepProgress, StepResult
from failover.engine.history import History
from failover.engine.interrupt import Interrupt
from failover.engine.lanes import run_lanes
from failover.engine.order import all_before, check_plan, commit_step
from failover.errors import FailoverError, Interrupted, LeaseLost, Refused, Resumable, Undone, UsageError
from failover.model.journal import Outcome, RunState
from failover.model.plan import Actions, Plan, Step
from failover.ports.journal import Claim, Journal


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What a run works with; the same for ``execute`` and ``resume``."""

    handlers: Handlers
    journal: Journal
    guard: Guard
    progress: Progress
    clock: Clock
    interrupt: Interrupt


def execute(plan: Plan, *, claim: Claim, tools: Tools) -> RunResult:
    """Carry ``plan`` out under ``claim`` (``Journal.begin`` gave it, so the run's id is known before anything is done).

    Returns when the plan is done, or when a plan without commit step has lanes that failed (``failures`` lists them,
    the state is "stopped"). Raises ``Undone`` (stopped before the commit step, all taken back), ``Resumable`` (after
    it, or taking back failed), ``LeaseLost``, ``Interrupted``; a bug in a handler is raised as it is, after the undo.
    """
    try:
        check_plan(plan, tools.handlers)
    except UsageError:
        tools.journal.end(claim, RunState.UNDONE)
        raise
    return Execution(plan, claim, tools, History(), committed=False).forward()


class Execution:
    """One run in this process. ``committed``: the commit step's intent is in the journal."""

    def __init__(self, plan: Plan, claim: Claim, tools: Tools, past: History, *, committed: bool) -> None:
        self._plan = plan
        self._claim = claim
        self._tools = tools
        self._past = past
        self._commit = commit_step(plan)
        self._committed = committed
        self._committing = threading.Lock()
        self._returning = False
        self._results: dict[str, StepResult] = {}
        self._sent: set[str] = set(past.intended)
        self._progress_lock = threading.Lock()
        self._progress_broken = False
        self._began_s = tools.clock.boottime()

    def forward(self) -> RunResult:
        """Every step not settled yet; then what ``execute`` says."""
        run_lanes(
            self._plan,
            results=self._results,
            carry_out=self._step,
            halting=self._halting,
            not_tried=lambda step, detail: self._show(step, "not tried", detail),
        )
        if self._commit is None:
            return self._end_without_commit()
        if self._committed:
            return self._end_committed()
        self._undo_and_raise()

    def settle_before_commit(self, commit: StepResult) -> None:
        """The commit step is done: what had to come before it is history, whatever a look would say now."""
        for step in self._plan.steps:
            if step.id in all_before(self._plan, commit.step.id):
                detail = "before the commit step, which is done"
                self._results[step.id] = StepResult(step=step, outcome=Outcome.DONE, detail=detail)
        self._results[commit.step.id] = commit

    def undo_only(self) -> NoReturn:
        """Take back what has an intent, then raise as ``execute`` does."""
        self._returning = True
        self._undo_and_raise()

    def stop(self, message: str) -> NoReturn:
        """Rest as "stopped" and raise ``Resumable``."""
        self._tools.journal.end(self._claim, RunState.STOPPED)
        raise Resumable(message, where=self._claim.run, hint=self._resume_hint())

    def _step(self, step: Step) -> StepResult:
        self._show(step, "started")
        result = self._act(step, step.action, undoing=False).run()
        with self._committing:  # a failure seen here keeps a commit step of another lane from beginning
            self._results[step.id] = result
        self._show(step, _phase(result.outcome), result.detail, result.seconds)
        return result

    def _act(self, step: Step, action: Actions, *, undoing: bool) -> Act:
        tools = self._tools
        return Act(
            step=step,
            action=action,
            handler=tools.handlers[type(action)],
            journal=tools.journal,
            claim=self._claim,
            clock=tools.clock,
            guard=tools.guard,
            halting=(lambda: False) if undoing else self._halting,
            before_intent=(lambda: None) if undoing else (lambda: self._before_intent(step)),
            undoing=undoing,
            intended=not undoing and step.id in self._past.open,
        )

    def _before_intent(self, step: Step) -> None:
        """The last look before an act is sent. After the commit is done acts only carry out what the record already
        says, and a lost lease must not keep gates closed: nothing is checked any more."""
        done = self._results.get(self._commit.id) if self._commit is not None else None
        if done is None or done.outcome is not Outcome.DONE:
            self._tools.guard.check()
        if step.commit:
            with self._committing:
                if self._halting():
                    raise Refused("the run is stopping: the commit step was not begun")
                self._committed = True
        self._sent.add(step.id)

    def _halting(self) -> bool:
        """No step may begin any more."""
        asked = self._tools.interrupt.times
        if self._commit is None:
            return asked > 0 or self._lease_lost()
        if self._committed:
            return asked > 1
        failed = any(_failed(result) for result in list(self._results.values()))
        return self._returning or asked > 0 or failed

    def _lease_lost(self) -> bool:
        return any(isinstance(result.error, LeaseLost) for result in list(self._results.values()))

    def _end_without_commit(self) -> RunResult:
        complete = len(self._results) == len(self._plan.steps)
        wrong = not complete or any(_failed(result) or _needed(result) for result in self._results.values())
        state = RunState.STOPPED if wrong else RunState.DONE
        self._tools.journal.end(self._claim, state)
        self._raise_bug(f"run {self._claim.run} rests; {self._resume_hint()}")
        for result in self._results.values():
            if isinstance(result.error, LeaseLost):
                raise LeaseLost(result.error.message, where=self._claim.run, hint=self._resume_hint())
        if self._tools.interrupt.times and not complete:
            raise Interrupted("stopped between two steps", where=self._claim.run, hint=self._resume_hint())
        return self._result(state)

    def _end_committed(self) -> RunResult:
        wrong = [result for result in self._results.values() if _failed(result) or _needed(result)]
        if wrong or len(self._results) < len(self._plan.steps):
            told = "; ".join(f"{one.step.id}: {one.detail or 'not begun'}" for one in wrong) or "interrupted"
            self._tools.journal.end(self._claim, RunState.STOPPED)
            self._raise_bug(f"run {self._claim.run} stopped after its commit step began; {self._resume_hint()}")
            message = f"stopped after the commit step began: {told}"
            raise Resumable(message, where=self._claim.run, hint=self._resume_hint())
        self._tools.journal.end(self._claim, RunState.DONE)
        self._raise_bug(f"run {self._claim.run} is done all the same")
        if self._tools.interrupt.times:
            raise Interrupted(
                "asked to stop after the commit step began, so the run was finished",
                where=self._claim.run,
                hint="nothing is left to do; failover status shows the fleet",
            )
        return self._result(RunState.DONE)

    def _undo_and_raise(self) -> NoReturn:
        """Take everything back that may have been changed, newest first, each with its own fresh time."""
        why = self._why()
        failures: list[str] = []
        for step in reversed(self._plan.steps):
            if step.undo is None or step.id not in self._sent:
                continue
            self._show(step, "started", undoing=True)
            result = self._act(step, step.undo, undoing=True).run()
            self._show(step, _phase(result.outcome), result.detail, result.seconds, undoing=True)
            if result.outcome is not Outcome.DONE:
                failures.append(f"{step.id}: {result.detail}")
        self._tools.journal.end(self._claim, RunState.STOPPED if failures else RunState.UNDONE)
        if failures:
            self._raise_bug(f"taking run {self._claim.run} back failed; {self._resume_hint()}")
            message = f"{why}; taking it back failed too: {'; '.join(failures)}"
            raise Resumable(message, where=self._claim.run, hint=self._resume_hint())
        self._raise_bug(f"run {self._claim.run} was taken back")
        message = f"{why}; everything was taken back, the old state serves"
        hint = "failover status; then ask again"
        for result in self._results.values():
            if isinstance(result.error, LeaseLost):
                raise LeaseLost(message, where=self._claim.run, hint=hint)
        if self._tools.interrupt.times:
            raise Interrupted(message, where=self._claim.run, hint=hint)
        raise Undone(message, where=self._claim.run, hint=hint)

    def _why(self) -> str:
        failed = [result for result in self._results.values() if _failed(result)]
        if failed:
            return "; ".join(f"{one.step.title}: {one.detail}" for one in failed)
        return "interrupted before the commit step" if self._tools.interrupt.times else "not carried out"

    def _raise_bug(self, note: str) -> None:
        for result in self._results.values():
            if result.error is not None and not isinstance(result.error, FailoverError):
                result.error.add_note(note)
                raise result.error

    def _result(self, state: RunState) -> RunResult:
        return RunResult(
            run=self._claim.run,
            state=state,
            committed=self._committed,
            steps=tuple(self._results.get(step.id, StepResult(step=step, outcome=None)) for step in self._plan.steps),
            seconds=self._tools.clock.boottime() - self._began_s,
        )

    def _resume_hint(self) -> str:
        return f"failover resume {self._claim.run}"

    def _show(
        self, step: Step, phase: str, detail: str = "", seconds: float | None = None, *, undoing: bool = False
    ) -> None:
        """Tell the one who watches. A screen that breaks must not stop a move: said once in the journal, then quiet."""
        told = StepProgress(
            run=self._claim.run, step=step, phase=phase, detail=detail, seconds=seconds, undoing=undoing
        )
        with self._progress_lock:
            if self._progress_broken:
                return
            try:
                self._tools.progress(told)
            except Exception as error:  # noqa: BLE001 - e.g. a closed pipe, in the middle of a move
                self._progress_broken = True
                self._tools.journal.note(self._claim, text=f"progress cannot be shown any more: {error!r}")


def _failed(result: StepResult) -> bool:
    return result.step.required and result.outcome in (Outcome.FAILED, Outcome.UNKNOWN)


def _needed(result: StepResult) -> bool:
    return result.step.required and result.outcome is None


def _phase(outcome: Outcome | None) -> str:
    return outcome.value if outcome is not None else "not tried"
