"""One step carried out: look, write down the intent, perform, look again until it shows. The look decides.

What must never be here: which step comes next, and what a failure means for the run (``executor``).

Rules: nothing is performed before its intent is on disk. What was sent and not answered is performed again only if
the look says "not done" and the handler is repeatable. An error of the journal is never taken for one of the step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from failover.engine.clock import Clock
from failover.engine.handler import Context, Guard, Handler, Looked, See, StepResult
from failover.errors import FailoverError, OutcomeUnknown, Unreachable
from failover.model.journal import Outcome
from failover.model.plan import Actions, Step
from failover.ports.journal import Claim, Journal

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5


@dataclass(slots=True, kw_only=True)
class Act:
    """One step (or its undo) on its way. ``intended``: an earlier life of this run may have sent it.

    ``before_intent`` may raise a ``FailoverError`` to keep the step from being sent.
    """

    step: Step
    action: Actions
    handler: Handler[Actions]
    journal: Journal
    claim: Claim
    clock: Clock
    guard: Guard
    halting: Callable[[], bool]
    before_intent: Callable[[], None]
    undoing: bool = False
    intended: bool = False
    _until_s: float = 0.0
    _performed: bool = False
    _sent: bool = False
    _error: Exception | None = None
    _details: list[str] = field(default_factory=list)

    def run(self) -> StepResult:
        """Carry it out and write the result down. Raises only what the journal raises."""
        began_s = self.clock.boottime()
        self._until_s = began_s + self.step.timeout_s
        self._sent = self.intended
        outcome = self._carry_out()
        seconds = self.clock.boottime() - began_s
        detail = "; ".join(dict.fromkeys(one for one in self._details if one))
        self.journal.result(
            self.claim, step=self.step, outcome=outcome, detail=detail, seconds=seconds, undoing=self.undoing
        )
        return StepResult(
            step=self.step,
            outcome=outcome,
            detail=detail,
            seconds=seconds,
            performed=self._performed,
            error=None if outcome is Outcome.DONE else self._error,
        )

    def _carry_out(self) -> Outcome:
        tried = False
        pause_s = _FIRST_PAUSE_S
        while True:
            looked = self._look()
            if looked is None:
                return Outcome.UNKNOWN if tried or self._sent else Outcome.FAILED
            if looked.see is See.DONE:
                self._details.append(looked.detail if tried else f"nothing to do: {looked.detail}".rstrip(": "))
                return Outcome.DONE
            if looked.see is See.NOT_DONE and self._may_send(tried):
                if self.halting() and not tried:
                    self._details.append("not sent: the run is stopping")
                    return Outcome.UNKNOWN if self._sent else Outcome.FAILED
                tried = True
                if not self._send():
                    return Outcome.FAILED
                if self._performed or self._ambiguous():
                    continue  # look at once; a call that changed nothing is worth a pause first
            elif looked.see is See.NOT_DONE and tried and self._definite():
                self._details.append(looked.detail)
                return Outcome.FAILED
            if self.clock.boottime() >= self._until_s or self.halting():
                return self._out_of_time(looked)
            self.clock.sleep(min(pause_s, max(0.0, self._until_s - self.clock.boottime())))
            pause_s = min(pause_s * 1.6, _LONGEST_PAUSE_S)

    def _may_send(self, tried: bool) -> bool:
        """Whether "not done" is enough to send it (again)."""
        if not tried:
            return not self._sent or self.handler.repeatable
        if self._performed or self.clock.boottime() >= self._until_s:
            return False
        retriable = isinstance(self._error, Unreachable)
        return retriable and self.handler.repeatable

    def _ambiguous(self) -> bool:
        return isinstance(self._error, OutcomeUnknown)

    def _definite(self) -> bool:
        """A call that says that it changed nothing, and a look that agrees."""
        return self._error is not None and not self._ambiguous() and not self._sent

    def _look(self) -> Looked | None:
        """``None``: a definite no, or a bug; ``_error`` says which."""
        try:
            return self.handler.look(self.action, self._context())
        except Unreachable as error:
            return Looked(see=See.UNKNOWN, detail=str(error))
        except FailoverError as error:
            self._fault(error)
            return None
        except Exception as error:  # noqa: BLE001 - a bug in a handler must still lead to an orderly undo; it is raised at the end
            self._fault(error)
            return None

    def _send(self) -> bool:
        """Intent on disk, then perform. ``False``: it was kept from being sent."""
        try:
            self.before_intent()
        except FailoverError as error:
            self._fault(error)
            return False
        self.journal.intent(self.claim, step=self.step, undoing=self.undoing)
        self._error = None
        try:
            self._details.append(self.handler.perform(self.action, self._context()))
            self._performed = True
        except OutcomeUnknown as error:
            self._sent = True
            self._fault(error)
        except FailoverError as error:
            self._fault(error)
        except Exception as error:  # noqa: BLE001 - as above; what a bug left behind is unknown
            self._sent = True
            self._fault(error)
        return True

    def _fault(self, error: Exception) -> None:
        self._error = error
        self._details.append(f"{error}" if isinstance(error, FailoverError) else f"bug: {error!r}")

    def _out_of_time(self, looked: Looked) -> Outcome:
        why = "the run is stopping" if self.halting() else f"not so within {self.step.timeout_s:g} s"
        self._details.append(f"{why}: {looked.see}, {looked.detail}".rstrip(", "))
        sure = looked.see is See.NOT_DONE and not self._sent
        return Outcome.FAILED if sure else Outcome.UNKNOWN

    def _context(self) -> Context:
        return Context(
            run=self.claim.run,
            step=self.step,
            lease=self.guard.lease,
            until_s=self._until_s,
            clock=self.clock,
            performed=self._performed,
            undoing=self.undoing,
            note=lambda text: self.journal.note(self.claim, text=text, step=self.step),
            halting=self.halting,
        )
