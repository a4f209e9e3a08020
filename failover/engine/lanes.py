"""Steps side by side: one thread per lane that has work, until nothing more may begin.

What must never be here: undo, and what the run's end means (``executor``).

Rule: an exception out of a step (the journal could not be written, or the process is being torn down) stops
everything; running steps end first, then it is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from failover.engine.handler import StepResult
from failover.engine.order import blocked, ready
from failover.model.journal import Outcome
from failover.model.plan import Plan, Step

_LOOK_UP_S = 0.1  # how soon an interrupt is seen; signal handlers only count, they wake nobody


def run_lanes(
    plan: Plan,
    *,
    results: dict[str, StepResult],
    carry_out: Callable[[Step], StepResult],
    halting: Callable[[], bool],
    not_tried: Callable[[Step, str], None],
) -> None:
    """Fill ``results`` (it may hold some already) until every step is settled, or ``halting`` and all are at rest."""
    running: dict[Future[StepResult], Step] = {}
    fatal: BaseException | None = None
    lanes = len({step.lane for step in plan.steps})
    with ThreadPoolExecutor(max_workers=max(1, lanes), thread_name_prefix="lane") as threads:
        while True:
            settled: dict[str, Outcome | None] = {step: result.outcome for step, result in results.items()}
            if fatal is None and not halting():
                for step, cause in blocked(plan, settled).items():
                    _give_up(plan, step, cause, results, not_tried)
                    settled[step] = None
                for one in ready(plan, settled, {step.id for step in running.values()}):
                    running[threads.submit(carry_out, one)] = one
            if not running:
                break
            for future in wait(running, timeout=_LOOK_UP_S, return_when=FIRST_COMPLETED).done:
                step_done = running.pop(future)
                error = future.exception()
                if error is not None:
                    fatal = fatal or error
                else:
                    results[step_done.id] = future.result()
    if fatal is not None:
        raise fatal


def _give_up(
    plan: Plan, step: str, cause: str, results: dict[str, StepResult], not_tried: Callable[[Step, str], None]
) -> None:
    one = next(candidate for candidate in plan.steps if candidate.id == step)
    detail = f"not tried: {cause} did not get done"
    results[step] = StepResult(step=one, outcome=None, detail=detail)
    not_tried(one, detail)
