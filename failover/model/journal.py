"""Lines of the journal: what a run meant to do, did, and saw. Flushed to disk before and after every act."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Outcome(StrEnum):
    """Three, not two: ``unknown`` was sent and not answered, and is never retried blindly."""

    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class RunState(StrEnum):
    """Where a run stands. ``running`` with a dead owner is what ``resume`` is for."""

    RUNNING = "running"
    DONE = "done"
    UNDONE = "undone"
    STOPPED = "stopped"


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """One run as ``journal list`` shows it. ``committed``: its commit step was begun, so only forward."""

    run: str
    verb: str
    digest: str
    owner: str
    started_at: str
    ended_at: str
    state: RunState
    committed: bool
    summary: str


class JournalLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line: ``kind`` is "intent", "result" or "note". ``step`` is the step's id, ``sequence`` grows per run."""

    run: str
    sequence: int
    at: str
    kind: str
    step: str
    title: str
    outcome: Outcome | None = None
    detail: str = ""
    seconds: float | None = None
    undoing: bool = False
