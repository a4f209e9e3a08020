"""Which step may begin when. Pure.

A step waits for the one before it in its lane and for those it names in ``after``. What it waits for is *cleared*
when it is done, or when it is settled and not required; a step behind a failed required one is never begun.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from failover.errors import UsageError
from failover.model.journal import Outcome
from failover.model.plan import Action, Plan, Step


def waits_for(plan: Plan) -> dict[str, frozenset[str]]:
    """Step id -> ids of the steps right before it."""
    last: dict[str, str] = {}
    before: dict[str, frozenset[str]] = {}
    for step in plan.steps:
        lane = (last[step.lane],) if step.lane in last else ()
        before[step.id] = frozenset((*lane, *step.after))
        last[step.lane] = step.id
    return before


def all_before(plan: Plan, step: str) -> frozenset[str]:
    """Ids of every step that must be settled before ``step`` begins, directly or not."""
    direct = waits_for(plan)
    found: set[str] = set()
    todo = set(direct[step])
    while todo:
        one = todo.pop()
        found.add(one)
        todo |= direct[one] - found
    return frozenset(found)


def commit_step(plan: Plan) -> Step | None:
    """The commit step, if the plan has one."""
    return next((step for step in plan.steps if step.commit), None)


def ready(plan: Plan, settled: Mapping[str, Outcome | None], running: Collection[str]) -> list[Step]:
    """Steps that may begin now, in the plan's order. ``settled`` holds ``None`` for those never to be begun."""
    before = waits_for(plan)
    steps = {step.id: step for step in plan.steps}
    return [
        step
        for step in plan.steps
        if step.id not in settled
        and step.id not in running
        and all(one in settled and _cleared(steps[one], settled[one]) for one in before[step.id])
    ]


def blocked(plan: Plan, settled: Mapping[str, Outcome | None]) -> dict[str, str]:
    """Steps that can never begin -> the step they would have needed."""
    before = waits_for(plan)
    steps = {step.id: step for step in plan.steps}
    lost: dict[str, str] = {}
    for step in plan.steps:
        for one in sorted(before[step.id]):
            if one in lost:
                lost[step.id] = lost[one]
            elif one in settled and not _cleared(steps[one], settled[one]):
                lost[step.id] = one
    return {step: cause for step, cause in lost.items() if step not in settled}


def check_plan(plan: Plan, known: Collection[type[Action]]) -> None:
    """Refuse a plan that cannot be carried out as written: before it is begun, never in its middle.

    Raises ``UsageError`` (a bug of a planner, or a journal of another version).
    """
    seen: set[str] = set()
    for step in plan.steps:
        unknown = [one for one in step.after if one not in seen]
        if step.id in seen or unknown:
            raise UsageError(f"step {step.id!r} is there twice or waits for what comes later: {unknown}")
        seen.add(step.id)
        for action in (step.action, step.undo):
            if action is not None and type(action) not in known:
                raise UsageError(f"step {step.id!r}: nothing here can carry out {type(action).__name__}")
    commits = [step for step in plan.steps if step.commit]
    if len(commits) > 1:
        raise UsageError(f"more than one commit step: {', '.join(step.id for step in commits)}")
    if commits and not commits[0].required:
        raise UsageError(f"the commit step {commits[0].id!r} must be required")


def _cleared(step: Step, outcome: Outcome | None) -> bool:
    return outcome is Outcome.DONE or (outcome is not None and not step.required)
