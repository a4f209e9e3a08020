"""A death at a chosen instant of a run: SIGKILL of this process, of agents, or of both. For tests and drills only.

``FAILOVER_STRIKE=STEP/PHASE:VICTIM[,VICTIM]``, for example ``commit/sent:beta,cli``. A victim is a site (its agent) or
``cli`` (this process, always last); ``pause`` in its place stops this process until somebody wakes it. Several, with
blanks between them, strike one after the other. Points are made from a plan, so that a new step is covered without a
new test.
It wraps the journal and nothing else: every instant that matters lies before or after one of its lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from failover.errors import UsageError
from failover.model.journal import Outcome
from failover.model.plan import Plan, Step
from failover.ports.journal import Claim, Journal

VARIABLE = "FAILOVER_STRIKE"
CLI, PAUSE = "cli", "pause"
STRUCK = "struck on purpose:"
"""How the journal's note of it begins: whoever reads the run later must not look for another cause."""
PHASES = ("before", "intended", "sent")
"""``before``: the intent is not on disk yet. ``intended``: it is, nothing was performed. ``sent``: it was performed (or
was so already), the result is not on disk yet. A step that has nothing to do passes only the last."""
UNDO_PHASES = tuple(f"undo-{phase}" for phase in PHASES)
"""The same of a step that is being taken back."""
_SCRIPT = re.compile(r"(?P<step>[a-z0-9-]+)/(?P<phase>[a-z-]+):(?P<victims>[a-z0-9-]+(,[a-z0-9-]+)*)")


def points(plan: Plan) -> tuple[str, ...]:
    """Every instant of ``plan`` at which it may be struck: ``STEP/PHASE``, in the plan's order."""
    return tuple(f"{step.id}/{phase}" for step in plan.steps for phase in PHASES)


def undo_points(plan: Plan) -> tuple[str, ...]:
    """Every instant at which taking ``plan`` back may be struck."""
    return tuple(f"{step.id}/{phase}" for step in plan.steps if step.undo is not None for phase in UNDO_PHASES)


class StruckJournal:
    """The journal ``inner``; the one line that the script names is where the victims die. Everything else passes."""

    def __init__(self, inner: Journal, *, script: str, kill: Callable[[str], None]) -> None:
        self._inner = inner
        self._due: dict[tuple[str, str], list[str]] = {}
        for one in script.split() or [script]:
            found = _SCRIPT.fullmatch(one)
            if found is None or found["phase"] not in (*PHASES, *UNDO_PHASES):
                raise UsageError(f"{VARIABLE} is not STEP/PHASE:VICTIM[,VICTIM]: {script!r}", hint=f"unset {VARIABLE}")
            victims = sorted(found["victims"].split(","), key=lambda victim: victim in (CLI, PAUSE))
            self._due[found["step"], found["phase"]] = victims
        self._kill = kill
        # What reads passes as it is.
        self.begin, self.take_over, self.end = inner.begin, inner.take_over, inner.end
        self.runs, self.run, self.owner = inner.runs, inner.run, inner.owner
        self.plan, self.lines, self.export_jsonl = inner.plan, inner.lines, inner.export_jsonl
        self.note = inner.note

    def intent(self, claim: Claim, *, step: Step, undoing: bool = False) -> None:
        """See the port."""
        self._pass("before", claim, step, undoing)
        self._inner.intent(claim, step=step, undoing=undoing)
        self._pass("intended", claim, step, undoing)

    def result(
        self, claim: Claim, *, step: Step, outcome: Outcome, detail: str, seconds: float, undoing: bool = False
    ) -> None:
        """See the port."""
        self._pass("sent", claim, step, undoing)
        self._inner.result(claim, step=step, outcome=outcome, detail=detail, seconds=seconds, undoing=undoing)

    def close(self) -> None:
        """As the journal's own, if it has one."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()

    def _pass(self, phase: str, claim: Claim, step: Step, undoing: bool) -> None:
        victims = self._due.pop((step.id, f"undo-{phase}" if undoing else phase), None)
        if victims is None:
            return
        self._inner.note(claim, text=f"{STRUCK} {', '.join(victims)}", step=step)
        for victim in victims:
            self._kill(victim)
