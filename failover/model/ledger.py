"""Lines of the ledger: what the load generator asked of the app, and what it was told. Plain values, no I/O.

Every instant is CLOCK_BOOTTIME in seconds of the generator's machine; ``LedgerHead`` anchors them to the wall clock
for people. A ledger is a head, then ``WriteSent`` and ``RequestDone`` lines in the order they happened, then an end
(missing when the generator was killed: everything before it still counts).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

SCHEMA = "failover/ledger/v1"


class RequestKind(StrEnum):
    """A write is checked against the database afterwards; a read is only counted and timed."""

    WRITE = "write"
    READ = "read"


class RequestOutcome(StrEnum):
    """``acknowledged``: an answer the workload counts as success. ``failed``: given up, and certainly not done (no
    attempt ever got past connecting). ``ambiguous``: given up, but some attempt may have been carried out: a status
    of 500 or 401 does not mean "not written" (safety E4)."""

    ACKNOWLEDGED = "acknowledged"
    FAILED = "failed"
    AMBIGUOUS = "ambiguous"


class AttemptFailure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One attempt that did not succeed. ``why``: "resolve" (no DNS server answered), "connect" (no address took the
    connection, so nothing was sent), "lost" (the connection ended under the request), "timeout", or "status"."""

    why: str
    sent_s: float
    ended_s: float
    address: str = ""
    status: int = 0


class LedgerHead(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="head"):
    """What was driven. ``started_s`` and ``started_unix_s`` are the same instant on two clocks."""

    schema: str = SCHEMA
    run: str
    seed: int
    target: str
    workload: str
    idempotent: bool
    retry: bool
    writes_per_s: float
    reads_per_s: float
    started_s: float
    started_unix_s: float


class WriteSent(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="sent"):
    """A write left for the first time. Without its ``RequestDone`` (generator killed) it is ambiguous."""

    id: str
    sent_s: float


class RequestDone(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="line", tag="done"):
    """One request, finished. ``scheduled_s`` is when it was due: latency counts from there, so that a stalled server
    (or generator) cannot hide the wait of those behind it. ``decided_s`` is when the deciding attempt was sent.
    ``served_by`` and ``epoch`` are what the answer's headers said, if the workload names such headers."""

    id: str
    kind: RequestKind
    scheduled_s: float
    sent_s: float
    decided_s: float
    ended_s: float
    outcome: RequestOutcome
    status: int = 0
    attempts: int = 1
    address: str = ""
    served_by: str = ""
    epoch: int = 0
    failures: tuple[AttemptFailure, ...] = ()

    @property
    def acknowledged(self) -> bool:
        """True when the answer counts as success."""
        return self.outcome is RequestOutcome.ACKNOWLEDGED

    @property
    def latency_ms(self) -> float:
        """From the scheduled instant to the last answer (or to giving up)."""
        return (self.ended_s - self.scheduled_s) * 1000


class StreamDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="stream"):
    """One opening of the stream that ``holder`` keeps open. ``opened_s`` 0: it was not opened. ``why`` it ended:
    "ended" (by the server), "lost", "stopped" (the load was over); not opened: "status" or "connect"."""

    holder: int
    asked_s: float
    opened_s: float
    ended_s: float
    why: str
    status: int


class UploadDone(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="upload"):
    """One slow upload, finished. ``why`` is the failure's kind when no whole answer came."""

    id: str
    sent_s: float
    ended_s: float
    status: int
    why: str
    acknowledged: bool


class LedgerEnd(msgspec.Struct, frozen=True, kw_only=True, tag_field="line", tag="end"):
    """The generator finished in order. ``latest_send_ms``: the worst distance between due and sent, and ``cpu_s``
    what it burned: a generator that was starved itself measures itself, and the report says so."""

    ended_s: float
    writes: int
    reads: int
    unfinished: int
    cpu_s: float
    latest_send_ms: float


LedgerLine = LedgerHead | WriteSent | RequestDone | StreamDone | UploadDone | LedgerEnd


class WritableSample(msgspec.Struct, frozen=True, kw_only=True):
    """A probe's answer: could this site commit a write? True for some instant between asked and answered."""

    site: str
    asked_s: float
    answered_s: float
    writable: bool
