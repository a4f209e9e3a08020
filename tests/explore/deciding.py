"""The real decisions behind small keys: facts of the model are translated, decided on by ``planner/keeper.decide`` and
``planner/gate.serves``, and remembered, because the explorer asks the same question many times.

Each law the decisions carry can be switched off here, by facts that hide what the law looks at.
"""

from __future__ import annotations

from typing import Any

import msgspec

from failover.model.observation import DatabaseFacts, Replica
from failover.model.record import Move, Record, Timeline, illegal
from failover.model.units import MemberId
from failover.planner import gate, keeper
from failover.planner.keeper import KeeperFacts
from failover.planner.verdict import Opinion
from tests.explore import world as w

SITES = ("alpha", "beta", "gamma")
PROVIDERS = dict(zip(SITES, ("north", "south", "west"), strict=True))
SYSTEM = "42"
BUDGET_S = 10.0


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
    epoch, prim, sync, lines, move, flushed = small
    return Record(
        epoch=epoch,
        revision=revision,
        primary=member(prim),
        sync=members(sync),
        timelines=tuple(Timeline(tli=tli, fork_lsn=fork) for tli, fork in lines),
        move=None
        if move is None
        else Move(kind=move[0], run=f"run{move[1]}", source=member(move[2]), target=member(move[3]), budget_s=BUDGET_S),
        flushed_lsn=flushed,
        system_identifier=SYSTEM,
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


class Decider:
    """Answers by key. ``off``: names of laws that are switched off."""

    def __init__(self, *, off: frozenset[str] = frozenset(), promote: str = "auto", loss: str = "degrade") -> None:
        self.off = off
        self._promote = promote
        self._loss = loss
        self._actions: dict[tuple[Any, ...], tuple[Any, ...] | None] = {}
        self.choices: dict[tuple[Any, ...], tuple[tuple[Any, ...], ...]] = {}
        self._serves: dict[tuple[Any, ...], bool] = {}
        self._legal: dict[tuple[Any, ...], bool] = {}

    def legal(self, before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
        """Would the record's adapters write this?"""
        key = (before, after)
        if key not in self._legal:
            self._legal[key] = not illegal(record_of(before, 1), record_of(after, 2)) or "B1 sync only" in self.off
        return self._legal[key]

    def serves(self, key: tuple[Any, ...]) -> bool:
        """``planner/gate.serves``; key: site, record, copy's facts, replicas, end of recovery."""
        if key not in self._serves:
            site, small, copy, replicas, recovered = key
            facts = gate.GateInputs(
                site=SITES[site],
                record=record_of(small),
                db=database_of(copy, replicas, False),
                evidence_at_s=0.0,
                fresh_s=2.0,
                recovered_lsn=None if recovered < 0 else 0 if "A1 gate" in self.off else recovered,
                now_s=1.0,
            )
            self._serves[key] = gate.serves(facts) == ""
        return self._serves[key]

    def decide(self, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """``planner/keeper.decide``; ``None`` when it idles. Key: site, record, permit, the copy's facts, replicas,
        streaming, copies at peers, opinions on peers, upstream ready, move live, lost, rejoin failed, publish."""
        if key not in self._actions:
            self._actions[key] = _small_action(self._real(key))
        return self._actions[key]

    def _real(self, key: tuple[Any, ...]) -> keeper.KeeperAction:
        site, small, permit, copy, replicas, streaming, copies, downs, ready, live, lost, failed, publish = key
        off = self.off
        record = record_of(small)
        db = database_of(copy, replicas, streaming)
        caught = {member(m) for m, at in replicas if copy[w.PROOF] >= 0 and at >= copy[w.PROOF]}
        if db.names_proven != db.names or db.state != "primary":
            caught = set()
        if "B2 join" in off:
            caught = {member(m) for m, _ in replicas}
            db = msgspec.structs.replace(db, names_proven=db.names)
        if "B2 promote" in off and db.state == "standby":
            db = msgspec.structs.replace(db, names_proven=db.names)
        if "B1 disk" in off:
            record = msgspec.structs.replace(record, flushed_lsn=0)
        others = [index for index in range(3) if index != site]
        opinions = {}
        for suspect in others[:1]:
            said = {index: "down" if downs[index] else "unknown" for index in range(3) if index != suspect}
            if ("B4" if w.site_of(small[w.PRIM]) == site else "two observers") in off:
                said = dict.fromkeys(said, "down")
            opinions[SITES[suspect]] = tuple(
                Opinion(observer=SITES[i], provider=PROVIDERS[SITES[i]], verdict=v) for i, v in said.items()
            )
        facts = KeeperFacts(
            site=SITES[site],
            record=record,
            db=db,
            start_permit=1 if permit & 2 else 0,
            sent_revision=1 if permit & 1 and "C1 own" not in off else 0,
            own_revision=1 if permit & 8 or "B1 touch" in off else 0,
            move_age_s=0.0 if live or "C2 budget" in off else 2 * BUDGET_S,
            lost=frozenset(members(lost)),
            caught_up=frozenset(caught),
            copies={SITES[1 - site]: member(copies)} if copies >= 0 else {},
            opinions=opinions,
            providers=PROVIDERS,
            upstream_ready=ready,
            rejoin_failed=failed,
            publish_flush=publish,
            promote=self._promote,
            on_standby_loss=self._loss,
        )
        return _broken(facts, off)


def _broken(facts: KeeperFacts, off: frozenset[str]) -> keeper.KeeperAction:
    """Decide, with the laws in ``off`` ignored."""
    record, db = facts.record, facts.db
    assert record is not None
    if "B1 sync only" in off and record.primary_site != facts.site and db.state == "standby":
        wide = (*(m for m in record.sync if m != db.member), MemberId(db.member))
        action = keeper.decide(msgspec.structs.replace(facts, record=msgspec.structs.replace(record, sync=wide)))
        if isinstance(action, keeper.Swap):
            return action
    action = keeper.decide(facts)
    if "C2 bump" in off and isinstance(action, keeper.Swap) and action.permits_start:
        return keeper.StartPrimary(names=record.sync, why="without a swap")
    mine = record.primary_site == facts.site
    if "C7" in off and mine and db.state == "standby":
        return keeper.Promote(timelines=record.timelines, why="whatever its names are")
    if "C7" in off and not mine and isinstance(action, keeper.SetNames):
        return keeper.Idle(why="names can wait")
    if "C7" in off and isinstance(action, keeper.StartStandby):
        return keeper.StartStandby(upstream=action.upstream, names=(), why=action.why)
    if "C5 number" in off and isinstance(action, keeper.Promote):
        return keeper.Promote(timelines=(), why="the next number it knows itself")
    return action


def _small_action(action: keeper.KeeperAction) -> tuple[Any, ...] | None:
    match action:
        case keeper.Idle():
            return None
        case keeper.Swap(new=new, permits_start=permits):
            return ("swap", small_of(new), permits)
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
