"""What carries one kind of action out, and what it is told. The words of the engine; no behaviour.

Rules for every handler: ``look`` changes nothing and may be called at any time; ``perform`` returns or raises before
``context.until_s``; both may run in any thread, beside those of other lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from failover.engine.clock import Clock
from failover.model.journal import Outcome, RunState
from failover.model.plan import Action, Step
from failover.ports.record import Lease


class See(StrEnum):
    """What a look can say. ``unknown``: whoever could tell did not answer; never taken for either of the others."""

    DONE = "done"
    NOT_DONE = "not done"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One look: what is so, and in words what was seen."""

    see: See
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a handler is told beside its action.

    ``performed``: this step's ``perform`` has returned without an error in this process (for acts that leave nothing
    to look at). ``halting`` turns true when the run should come to rest: long waits should end soon then.
    """

    run: str
    step: Step
    lease: Lease | None
    until_s: float
    clock: Clock
    performed: bool
    undoing: bool
    note: Callable[[str], None]
    halting: Callable[[], bool]

    @property
    def left_s(self) -> float:
        """What is left of the step's time, never negative."""
        return max(0.0, self.until_s - self.clock.boottime())


_A = TypeVar("_A", bound=Action, contravariant=True)


class Handler(Protocol[_A]):
    """Carries out one class of actions.

    ``repeatable``: performing it again is harmless while ``look`` says not done, even when an earlier call was sent
    and not answered. Not repeatable: such a step is only looked at again, until its time is over.
    """

    @property
    def repeatable(self) -> bool:
        """See above."""
        ...

    def look(self, action: _A, context: Context) -> Looked:
        """Is it so already? Raises ``Unreachable`` for "cannot tell"; any other ``FailoverError`` is a definite no:
        before anything was sent it ends the step as failed (the place for a guard that must hold)."""
        ...

    def perform(self, action: _A, context: Context) -> str:
        """Do it and say what was done. Raises ``OutcomeUnknown`` when sent and not answered, else a ``FailoverError``
        which means that nothing was changed. Either way the next look decides."""
        ...


Handlers = Mapping[type[Action], Handler[Any]]


class Guard(Protocol):
    """The right to change the fleet."""

    @property
    def lease(self) -> Lease | None:
        """The lease to write the record with."""
        ...

    def check(self) -> None:
        """Raises ``LeaseLost`` when it is gone or was not renewed in time. Asks nobody: cheap enough for every act."""
        ...


class NoLease:
    """The guard of plans that need no lease of the fleet."""

    lease: Lease | None = None

    def check(self) -> None:
        """Nothing to lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepProgress:
    """One thing worth showing. ``phase``: "started", "done", "failed", "unknown" or "not tried"."""

    run: str
    step: Step
    phase: str
    detail: str = ""
    seconds: float | None = None
    undoing: bool = False


Progress = Callable[[StepProgress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """How a step ended. ``outcome`` ``None``: never begun. ``performed`` false with "done": it was so already."""

    step: Step
    outcome: Outcome | None
    detail: str = ""
    seconds: float = 0.0
    performed: bool = False
    error: Exception | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run ended, one result per step in the plan's order."""

    run: str
    state: RunState
    committed: bool
    steps: tuple[StepResult, ...]
    seconds: float

    @property
    def failures(self) -> tuple[StepResult, ...]:
        """Every step that did not end as done, required or not, begun or not."""
        return tuple(one for one in self.steps if one.outcome is not Outcome.DONE)
