"""Small keys of the model as the real values of the product, and back."""

from __future__ import annotations

from typing import Any

from failover.model.observation import DatabaseFacts, Replica
from failover.model.record import AcceptedLoss, Alone, Move, Record, Timeline
from failover.model.units import MemberId
from failover.planner import keeper
from tests.explore import world as w

SITES = ("alpha", "beta", "gamma")
PROVIDERS = dict(zip(SITES, ("north", "south", "west"), strict=True))
SYSTEM = "42"
BUDGET_S = 10.0
ACCEPTED_S = 1e6
"""An operator who asks for a copy that is not in sync accepts any loss here."""


def member(number: int) -> MemberId:
    """``0`` -> ``alpha_00000000``."""
    return MemberId(f"{SITES[w.site_of(number)]}_{number:08x}") if number >= 0 else MemberId("")


def number(name: str) -> int:
    """``alpha_00000000`` -> ``0``."""
    return int(name[-8:], 16)


def members(numbers: tuple[int, ...]) -> tuple[MemberId, ...]:
    """Several."""
    return tuple(member(one) for one in numbers)


def numbers(names: Any) -> tuple[int, ...]:
    """Several."""
    return tuple(number(one) for one in names)


def record_of(small: tuple[Any, ...], revision: int = 1) -> Record:
    """The model's record as the real one."""
    epoch, prim, sync, lines, move, flushed, alone, accepted = small
    return Record(
        epoch=epoch,
        revision=revision,
        primary=member(prim),
        sync=members(sync),
        timelines=tuple(Timeline(tli=tli, fork_lsn=fork) for tli, fork in lines),
        move=None
        if move is None
        else Move(
            kind=move[0], run=f"run{move[1]}", source=member(move[2]), target=member(move[3]), budget_s=BUDGET_S,
            accept_loss_s=ACCEPTED_S if move[0] == "promote" else 0.0,
        ),
        flushed_lsn=flushed,
        system_identifier=SYSTEM,
        alone=None
        if alone is None
        else Alone(from_lsn=alone[0], held_by=members(alone[1]), written_lsn=alone[0], seconds_s=0.0, at_unix_s=0.0),
        accepted=tuple(
            AcceptedLoss(
                epoch=epoch, run=f"run{run}", source=member(source), target=member(target), fork_lsn=fork,
                accepted_s=ACCEPTED_S, released_by=released,
            )
            for epoch, run, source, target, fork, released in accepted
        ),
    )


def small_of(record: Record) -> tuple[Any, ...]:
    """The real record as the model's."""
    move = record.move
    return (
        record.epoch,
        number(record.primary),
        numbers(record.sync),
        tuple((line.tli, line.fork_lsn) for line in record.timelines),
        None if move is None else (move.kind, int(move.run[3:]), number(move.source), number(move.target)),
        record.flushed_lsn,
        None if record.alone is None else (record.alone.from_lsn, numbers(record.alone.held_by)),
        tuple(
            (loss.epoch, int(loss.run[3:]), number(loss.source), number(loss.target), loss.fork_lsn, loss.released_by)
            for loss in record.accepted
        ),
    )


def database_of(copy: tuple[Any, ...], replicas: tuple[tuple[int, int], ...], streaming: bool) -> DatabaseFacts:
    """What an agent would see of a copy."""
    if copy[w.ST] == w.ABSENT:
        return DatabaseFacts(state="absent")
    wal = copy[w.WAL]
    lines = w.history(wal)
    clean = bool(wal) and wal[-1] == w.SHUTDOWN and copy[w.WASP]
    stopped = copy[w.ST] == w.STOPPED
    return DatabaseFacts(
        state=w.STATES[copy[w.ST]],
        member=member(copy[w.ID]),
        system_identifier=SYSTEM,
        timeline=lines[-1][0],
        fork_lsn=lines[-1][1],
        position=len(wal),
        replayed=len(wal),
        upstream=SITES[copy[w.UP]] if copy[w.UP] >= 0 else "",
        streaming=streaming,
        names=members(copy[w.CFG]),
        names_proven=None if copy[w.PROVEN] is None else members(copy[w.PROVEN]),
        replicas=tuple(
            Replica(application_name=member(m), state="streaming", sync_state="quorum", flush_lsn=at, replay_lsn=at)
            for m, at in replicas
        ),
        clean_shutdown=stopped and clean,
        was_primary=stopped and copy[w.WASP],
        checkpoint_lsn=len(wal) - 1 if stopped and clean else 0,
    )


def small_action(action: keeper.KeeperAction, *, risky: bool) -> tuple[Any, ...] | None:
    """An action as the model performs it, ``None`` when it idles. ``risky``: operators may accept losses here, so how
    long a primary was alone is part of the world."""
    match action:
        case keeper.Idle():
            return None
        case keeper.Swap(new=new, permits_start=permits):
            return ("swap", small_of(new) if risky else w.put(small_of(new), w.ALONE, None), permits)
        case keeper.StartPrimary(names=names):
            return ("start as primary", numbers(names))
        case keeper.StartStandby(upstream=up, names=names):
            return ("start as standby", SITES.index(up) if up else -1, numbers(names))
        case keeper.StopDatabase():
            return ("stop",)
        case keeper.SetNames(names=names):
            return ("set names", numbers(names))
        case keeper.ProveNames(names=names):
            return ("prove names", numbers(names))
        case keeper.SaveEvidence():
            return ("save evidence",)
        case keeper.Rename():
            return ("rename",)
        case keeper.Follow(upstream=up):
            return ("follow", SITES.index(up))
        case keeper.Promote(timelines=lines):
            return ("promote", tuple(line.tli for line in lines))
        case keeper.Seed(upstream=up):
            return ("seed", SITES.index(up))
        case keeper.Rejoin(upstream=up, rewind=rewind):
            return ("rewind" if rewind else "discard", SITES.index(up))
    raise NotImplementedError(type(action).__name__)
