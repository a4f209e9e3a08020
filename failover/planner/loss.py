"""What may be lost when a primary that acknowledged alone is left behind, and what makes leaving it legal. Pure.

A primary without a sync member publishes how long it has acknowledged alone. Only an operator's request that accepts
at least that much lets a copy take over that is not in sync, and only a copy that has everything from before.
"""

from __future__ import annotations

import msgspec

from failover.model.observation import DatabaseFacts
from failover.model.record import AcceptedLoss, Alone, Record
from failover.model.units import MemberId
from failover.planner.keeper_actions import KeeperFacts


def alone(facts: KeeperFacts, before: Alone | None = None, *, held_by: tuple[MemberId, ...] = ()) -> Alone:
    """From now on, or since ``before``, what is acknowledged is on this primary only."""
    position, now = facts.db.position, facts.now_unix_s
    if before is None:
        return Alone(from_lsn=position, held_by=held_by, written_lsn=position, seconds_s=0.0, at_unix_s=now)
    return msgspec.structs.replace(before, written_lsn=position, seconds_s=facts.alone_s, at_unix_s=now)


def accepted(facts: KeeperFacts, record: Record) -> tuple[AcceptedLoss, ...]:
    """The loss an operator's move accepts, when it covers what this copy may lack; else nothing."""
    move, db = record.move, facts.db
    if move is None or not covers_loss(record, db, accept_loss_s=move.accept_loss_s):
        return ()
    return (
        AcceptedLoss(
            epoch=record.epoch + 1,
            run=move.run,
            source=record.primary,
            target=MemberId(db.member),
            fork_lsn=db.position,
            accepted_s=move.accept_loss_s,
        ),
    )


def covers_loss(record: Record, db: DatabaseFacts, *, accept_loss_s: float) -> bool:
    """Nobody is sync, the accepted stretch is at least the published one, and the copy ``db`` has all from before it:
    it was the one in sync then, or it has followed the record's timeline past where the stretch began."""
    stretch = record.alone
    if record.sync or stretch is None or accept_loss_s < max(stretch.seconds_s, 0.001):
        return False
    newest = max((line.tli for line in record.timelines), default=0)
    return db.member in stretch.held_by or (db.timeline >= newest and db.position >= stretch.from_lsn)
