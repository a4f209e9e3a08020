"""Running counts of a load. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from failover.model.ledger import RequestDone, RequestKind


@dataclass(slots=True, kw_only=True)
class Tally:
    """``writes`` and ``reads`` were sent; ``errors`` are requests that failed for good, ``retried`` failed attempts
    that were followed by another. ``latest_send_s``: the worst distance between due and sent."""

    writes: int = 0
    reads: int = 0
    acknowledged_writes: int = 0
    acknowledged_reads: int = 0
    errors: int = 0
    retried: int = 0
    latest_send_s: float = 0.0
    last_acknowledged_s: float | None = None

    def done(self, line: RequestDone) -> None:
        """Count one finished request."""
        self.latest_send_s = max(self.latest_send_s, line.sent_s - line.scheduled_s)
        self.retried += line.attempts - 1
        if not line.acknowledged:
            self.errors += 1
        elif line.kind is RequestKind.WRITE:
            self.acknowledged_writes += 1
            self.last_acknowledged_s = line.ended_s
        else:
            self.acknowledged_reads += 1

    @property
    def outstanding(self) -> int:
        """Sent and not finished."""
        return self.writes + self.reads - self.acknowledged_writes - self.acknowledged_reads - self.errors
