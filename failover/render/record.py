"""The record as text, every field of it."""

from __future__ import annotations

from failover.model.record import AcceptedLoss, Record
from failover.model.units import format_duration, format_lsn


def record_text(record: Record) -> str:
    """``record show``."""
    lines = [
        f"epoch {record.epoch}, revision {record.revision}, for readers of version {record.version} and later",
        f"primary {record.primary}, sync {', '.join(record.sync) or 'nobody'}",
        f"sync members have flushed {format_lsn(record.flushed_lsn)}",
        f"database {record.system_identifier or 'not born yet'}",
    ]
    if not record.sync and record.alone is not None:
        alone = record.alone
        stretch = f"from {format_lsn(alone.from_lsn)} to {format_lsn(alone.written_lsn)}"
        lines.append(f"the primary has acknowledged alone for {format_duration(alone.seconds_s)}, {stretch}")
    move = record.move
    if move is not None:
        accepted = f", accepts a loss of {format_duration(move.accept_loss_s)}" if move.accept_loss_s else ""
        lines.append(f"move: {move.kind} {move.source} -> {move.target} by {move.run}{accepted}")
    lines.extend(f"timeline {line.tli} from {format_lsn(line.fork_lsn)}" for line in record.timelines)
    lines.extend(_loss(loss) for loss in record.accepted)
    lines.extend(f"a newer failover wrote {name}: {text}" for name, text in record.unknown)
    return "".join(f"{line}\n" for line in lines)


def _loss(loss: AcceptedLoss) -> str:
    end = f"released by {loss.released_by}" if loss.released_by else "quarantined"
    what = f"{format_duration(loss.accepted_s)} of {loss.source} past {format_lsn(loss.fork_lsn)}"
    return f"accepted loss: {what}, for {loss.target} in epoch {loss.epoch} by {loss.run}; {loss.source} is {end}"
