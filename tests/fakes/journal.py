"""A journal in memory. ``crash_at`` makes the n-th write kill the pretended process, before or after it is stored."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from failover.errors import LeaseLost, UsageError
from failover.model.journal import JournalLine, Outcome, RunState, RunView
from failover.model.plan import Plan, Step
from failover.ports.journal import Claim, Owner

AT = "2026-11-23T00:31:05.000Z"


class Killed(BaseException):
    """The pretended process is gone: nothing may catch this."""


@dataclass
class Kept:
    plan: Plan
    owner: Owner
    fence: int = 1
    state: RunState = RunState.RUNNING
    committed: bool = False
    lines: list[JournalLine] = field(default_factory=list)


class MemoryJournal:
    """``Journal`` in memory; ``kept`` survives the pretended process, ``writes`` counts."""

    def __init__(
        self, kept: dict[str, Kept] | None = None, *, crash_at: int | None = None, stored: bool = True
    ) -> None:
        self.kept: dict[str, Kept] = kept if kept is not None else {}
        self.writes = 0
        self.crash_at = crash_at
        self.stored = stored
        self.dead = False
        self._lock = threading.RLock()

    def begin(self, *, plan: Plan, owner: Owner, lease_token: str) -> Claim:
        run = f"20261123T0031{len(self.kept):02d}-{plan.verb.replace(' ', '-')}-ab12"
        self.kept[run] = Kept(plan=plan, owner=owner)
        return Claim(run=run, fence=1)

    def take_over(self, run: str, *, owner: Owner, lease_token: str) -> Claim:
        kept = self._one(run)
        kept.owner, kept.fence, kept.state = owner, kept.fence + 1, RunState.RUNNING
        return Claim(run=run, fence=kept.fence)

    def intent(self, claim: Claim, *, step: Step, undoing: bool = False) -> None:
        self._add(claim, kind="intent", step=step, undoing=undoing)

    def result(
        self, claim: Claim, *, step: Step, outcome: Outcome, detail: str, seconds: float, undoing: bool = False
    ) -> None:
        self._add(claim, kind="result", step=step, outcome=outcome, detail=detail, seconds=seconds, undoing=undoing)

    def note(self, claim: Claim, *, text: str, step: Step | None = None) -> None:
        self._add(claim, kind="note", step=step, detail=text)

    def end(self, claim: Claim, state: RunState) -> None:
        with self._writing():
            self._require(claim).state = state

    def runs(self) -> tuple[RunView, ...]:
        return tuple(self.run(run) for run in reversed(self.kept))

    def run(self, run: str) -> RunView:
        kept = self._one(run)
        return RunView(
            run=run, verb=kept.plan.verb, digest=kept.plan.digest, owner=str(kept.owner), started_at=AT,
            ended_at="" if kept.state is RunState.RUNNING else AT, state=kept.state, committed=kept.committed,
            summary=kept.plan.summary,
        )  # fmt: skip

    def owner(self, run: str) -> Owner:
        return self._one(run).owner

    def plan(self, run: str) -> Plan:
        return self._one(run).plan

    def lines(self, run: str) -> tuple[JournalLine, ...]:
        return tuple(self._one(run).lines)

    def export_jsonl(self, path: Path, *, run: str = "") -> None:
        rows = [row for one in self.kept if run in ("", one) for row in (self.run(one), *self.lines(one))]
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def close(self) -> None:
        pass

    def _add(self, claim: Claim, *, kind: str, step: Step | None, **more: object) -> None:
        with self._writing():
            kept = self._require(claim)
            line = JournalLine(
                run=claim.run, sequence=len(kept.lines) + 1, at=AT, kind=kind, step=step.id if step else "",
                title=step.title if step else "",
            )  # fmt: skip
            kept.lines.append(msgspec.structs.replace(line, **more))
            if kind == "intent" and step is not None and step.commit and not more.get("undoing"):
                kept.committed = True

    def _writing(self) -> _Writing:
        return _Writing(self)

    def _require(self, claim: Claim) -> Kept:
        kept = self._one(claim.run)
        if kept.fence != claim.fence:
            raise LeaseLost(f"run {claim.run} was taken over by {kept.owner}")
        return kept

    def _one(self, run: str) -> Kept:
        if run not in self.kept:
            raise UsageError(f"there is no run {run!r}")
        return self.kept[run]


class _Writing:
    """One write: counted, and the place where the pretended process dies."""

    def __init__(self, journal: MemoryJournal) -> None:
        self._journal = journal

    def __enter__(self) -> None:
        journal = self._journal
        journal._lock.acquire()
        if not journal.dead:
            journal.writes += 1
            journal.dead = journal.writes == journal.crash_at and not journal.stored
        if journal.dead:
            journal._lock.release()
            raise Killed

    def __exit__(self, *_error: object) -> None:
        journal = self._journal
        journal.dead = journal.dead or journal.writes == journal.crash_at
        journal._lock.release()
        if journal.dead:
            raise Killed
