"""What a run may write into the record: its claim, the end of it, and the commit of a planned move. Pure.

Every one is judged on the record as it was read, and swapped from exactly that revision (safety C1). Raises ``Refused``
or ``Undone`` when its ground is gone; nothing was written then.
"""

from __future__ import annotations

from failover.errors import Refused, Undone
from failover.model.observation import DatabaseFacts
from failover.model.record import Move, Record, Timeline
from failover.model.units import MemberId


def claimed(record: Record, move: Move) -> Record:
    """The record with ``move`` in it, while it still says what the plan was made for."""
    # An accepted loss is for a copy that nobody lists; a listed one loses nothing, and nothing is accepted.
    fits = not record.sync if move.accept_loss_s else move.target in record.sync
    if record.primary != move.source or not fits:
        raise Refused("the record changed since the plan was made", hint="run the command again")
    if record.move is not None and record.move.run != move.run:
        raise Refused(f"run {record.move.run} has claimed a move", hint=f"failover resume {record.move.run}")
    return record.next(move=move)


def unclaimed(record: Record, run: str) -> Record:
    """The record without the move of ``run``."""
    if record.move is None or record.move.run != run:
        raise Undone("the move is gone already", hint="failover status")
    return record.next(move=None)


def committed(
    record: Record, run: str, *, source: MemberId, target: MemberId, received: DatabaseFacts | None
) -> Record:
    """Epoch + 1, primary the target, sync the source, the move gone, the fork noted. ``received``: what the target had
    flushed once the source was stopped."""
    if record.primary != source or record.move is None or record.move.run != run:
        # A keeper has taken the move away and started its primary again (safety C2): too late, nothing lost.
        raise Undone("the move is not in the record any more", hint="run the command again")
    if received is None:
        raise Undone("what the target has received is not known", hint="run the command again")
    newest = max((line.tli for line in record.timelines), default=received.timeline)
    fork = Timeline(tli=max(newest, received.timeline) + 1, fork_lsn=received.position)
    # The source is listed before it streams again. Allowed only here, because the target's names, shown to be in force
    # before the move (C7, B2), already make its first commit wait for the source.
    return record.next(
        epoch=record.epoch + 1,
        primary=target,
        sync=(source,),
        move=None,
        timelines=(*record.timelines, fork),
        flushed_lsn=max(record.flushed_lsn, received.position),
    )
