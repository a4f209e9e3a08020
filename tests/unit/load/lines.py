"""Ledger lines as short as tests need them."""

from __future__ import annotations

from failover.load.ledger import Ledger
from failover.model.ledger import (
    AttemptFailure,
    LedgerEnd,
    LedgerHead,
    RequestDone,
    RequestKind,
    RequestOutcome,
)

ACK, FAILED, AMBIGUOUS = RequestOutcome.ACKNOWLEDGED, RequestOutcome.FAILED, RequestOutcome.AMBIGUOUS


def head(run: str = "unit") -> LedgerHead:
    return LedgerHead(
        run=run, seed=1, target="http://app.test", workload="w", idempotent=True, retry=True, writes_per_s=1.0,
        reads_per_s=0.0, started_s=0.0, started_unix_s=1_700_000_000.0,
    )  # fmt: skip


def done(
    id_: str,
    *,
    at: float = 1.0,
    took: float = 0.01,
    outcome: RequestOutcome = ACK,
    kind: RequestKind = RequestKind.WRITE,
    failures: int = 0,
    site: str = "",
    epoch: int = 0,
    decided: float | None = None,
) -> RequestDone:
    return RequestDone(
        id=id_, kind=kind, scheduled_s=at, sent_s=at, decided_s=at if decided is None else decided, ended_s=at + took,
        outcome=outcome, status=201, attempts=failures + (outcome is ACK), served_by=site, epoch=epoch,
        failures=(AttemptFailure(why="lost", sent_s=at, ended_s=at),) * failures,
    )  # fmt: skip


def ledger(*writes: RequestDone, sent: tuple[str, ...] = (), ended: bool = True) -> Ledger:
    end = LedgerEnd(ended_s=9.0, writes=len(writes), reads=0, unfinished=0, cpu_s=0.1, latest_send_ms=0.1)
    return Ledger(
        head=head(),
        sent={**{write.id: write.sent_s for write in writes}, **dict.fromkeys(sent, 0.5)},
        writes=writes,
        reads=(),
        end=end if ended else None,
        cut=not ended,
    )
