"""A fleet whose operator has accepted a loss, and the certificate of what was left behind."""

from __future__ import annotations

from failover.model.certificate import Certificate, SavedWal
from failover.model.record import AcceptedLoss, Move, Timeline
from failover.model.units import site_of
from failover.ports.record import RecordStore
from tests.fakes.hosts import ALPHA, BETA, SYSTEM, swap


def left_behind(store: RecordStore, *, accepted_s: float = 60.0) -> None:
    """beta was promoted over alpha, which was alone, by an operator's run that accepted the loss."""
    lease = store.acquire(name="setup", owner="test", ttl_s=60, deadline_s=1)
    now = store.read(deadline_s=1)
    assert now is not None and not now.sync
    move = Move(run="promote-1", kind="promote", source=ALPHA, target=BETA, budget_s=60.0, accept_loss_s=accepted_s)
    now = swap(store, lease, now, move=move)
    loss = AcceptedLoss(
        epoch=now.epoch + 1, run="promote-1", source=ALPHA, target=BETA, fork_lsn=1000, accepted_s=accepted_s
    )
    lines = (*now.timelines, Timeline(tli=2, fork_lsn=1000))
    swap(store, lease, now, epoch=now.epoch + 1, primary=BETA, move=None, accepted=(loss,), timelines=lines)
    store.release(lease, deadline_s=1)


def certificate(member: str = ALPHA, *, commits: int = 1700, accepted: AcceptedLoss | None = None) -> Certificate:
    """What ``member`` had written past the fork."""
    return Certificate(
        id=f"{member}-0_3E8",
        site=site_of(member),
        member=member,
        system_identifier=SYSTEM,
        timeline=1,
        fork_lsn="0/3E8",
        end_lsn="0/5F5E100",
        wal_bytes=99_999_000,
        commits=commits,
        saved_at="2026-01-02T03:04:05.000Z",
        folder=f"/hosts/{site_of(member)}/evidence/{member}-0_3E8",
        files=(SavedWal(name="000000010000000000000000", size_bytes=4194304, sha256="ab" * 32),),
        accepted=accepted,
    ).sealed()
