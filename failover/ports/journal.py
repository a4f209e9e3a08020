"""Port: the journal, the flushed record of what every run meant to do, did and saw. It is not the log.

Rules: a line is on disk before the call returns; lines are only ever added; a run has one writer at a time, and a
writer whose run was taken over by another process is refused from then on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec

from failover.model.journal import JournalLine, Outcome, RunState, RunView
from failover.model.plan import Plan, Step


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """The process that carries a run out. ``start_ticks`` (since boot) tells it from a later one with its pid."""

    user: str
    host: str
    pid: int
    start_ticks: int

    def __str__(self) -> str:
        return f"{self.user}@{self.host} pid {self.pid}"


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """The right to write about ``run``; ``fence`` grows each time the run is taken over."""

    run: str
    fence: int


class Journal(Protocol):
    """Writes and reads runs. Safe for threads; each call is short (local disk).

    Raises ``Damaged`` when the file or a line does not pass its checks, ``Unreachable`` when it cannot be written
    (disk full, locked), ``LeaseLost`` when the claim was taken over, ``UsageError`` for a run that does not exist.
    """

    def begin(self, *, plan: Plan, owner: Owner, lease_token: str) -> Claim:
        """Store the plan whole under a new run id, sortable by time: ``20261123T003105-switchover-ab12``."""
        ...

    def take_over(self, run: str, *, owner: Owner, lease_token: str) -> Claim:
        """Go on with a run; its former writer is refused from now on. The caller holds the fleet's lease."""
        ...

    def intent(self, claim: Claim, *, step: Step, undoing: bool = False) -> None:
        """About to perform ``step`` (or its undo)."""
        ...

    def result(
        self, claim: Claim, *, step: Step, outcome: Outcome, detail: str, seconds: float, undoing: bool = False
    ) -> None:
        """How ``step`` (or its undo) ended, as the look said."""
        ...

    def note(self, claim: Claim, *, text: str, step: Step | None = None) -> None:
        """Something worth keeping that is neither."""
        ...

    def end(self, claim: Claim, state: RunState) -> None:
        """The run rests in ``state``; a stopped one may be taken over and go on."""
        ...

    def runs(self) -> tuple[RunView, ...]:
        """Every run, newest first."""
        ...

    def run(self, run: str) -> RunView:
        """One run."""
        ...

    def owner(self, run: str) -> Owner:
        """The process that wrote last."""
        ...

    def plan(self, run: str) -> Plan:
        """The plan as it was begun; ``Damaged`` when it does not give its digest any more."""
        ...

    def lines(self, run: str) -> tuple[JournalLine, ...]:
        """All lines in order; ``Damaged`` when one is missing, altered, or names a step the plan does not have."""
        ...

    def export_jsonl(self, path: Path, *, run: str = "") -> None:
        """Write a run and then its lines to ``path``, one JSON object a line, mode 0600; without ``run`` every run,
        oldest first."""
        ...
