"""The real decisions behind small keys: facts of the model are translated, decided on by ``planner/keeper.decide`` and
``planner/gate.order``, and remembered, because the explorer asks the same question many times.

Each law the decisions carry can be switched off here, by facts that hide what the law looks at.
"""

from __future__ import annotations

from typing import Any

import msgspec

from failover.model.record import Record, illegal
from failover.model.units import MemberId
from failover.planner import gate, keeper
from failover.planner.keeper import KeeperFacts
from failover.planner.verdict import Opinion
from tests.explore import world as w
from tests.explore.translate import (
    BUDGET_S,
    PROVIDERS,
    SITES,
    database_of,
    member,
    members,
    record_of,
    small_action,
)


class Decider:
    """Answers by key. ``off``: names of laws that are switched off."""

    def __init__(self, *, off: frozenset[str] = frozenset(), promote: str = "auto", loss: str = "degrade") -> None:
        self.off = off
        self._promote = promote
        self._loss = loss
        self.risky = False
        self._seen = 0
        self._actions: dict[tuple[Any, ...], tuple[Any, ...] | None] = {}
        self.choices: dict[tuple[Any, ...], tuple[tuple[Any, ...], ...]] = {}
        self._serves: dict[tuple[Any, ...], bool] = {}
        self._legal: dict[tuple[Any, ...], bool] = {}

    def begin(self, *, risky: bool, epoch_seen: int) -> None:
        """A search begins. ``risky``: operators may accept losses in it; ``epoch_seen``: every keeper has read a record
        of that epoch before (C8)."""
        self.risky, self._seen = risky, epoch_seen

    @property
    def floor(self) -> int:
        """No keeper follows a record of an earlier epoch."""
        return 0 if "C8" in self.off else self._seen

    def legal(self, before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
        """Would the record's adapters write this?"""
        key = (before, after)
        if key not in self._legal:
            self._legal[key] = not illegal(record_of(before, 1), record_of(after, 2)) or "B1 sync only" in self.off
        return self._legal[key]

    def serves(self, key: tuple[Any, ...]) -> bool:
        """``planner/gate.order``; key: site, record, copy's facts, replicas, end of recovery, is what it knows of the
        record fresh (E1)."""
        if key not in self._serves:
            site, small, copy, replicas, recovered, fresh = key
            facts = gate.GateInputs(
                site=SITES[site],
                record=record_of(small),
                db=database_of(copy, replicas, False),
                evidence_at_s=0.0,
                fresh_s=1e9 if "E1" in self.off else 2.0,
                recovered_lsn=None if recovered < 0 else 0 if "A1 gate" in self.off else recovered,
                now_s=1.0 if fresh else 100.0,
            )
            self._serves[key] = gate.order(facts).state == "open"
        return self._serves[key]

    def decide(self, key: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """``planner/keeper.decide``; ``None`` when it idles. Key: site, record, permit, the copy's facts, replicas,
        streaming, copies at peers, opinions on peers, upstream ready, move live, lost, rejoin failed, publish."""
        if key not in self._actions:
            self._actions[key] = small_action(self._real(key), risky=self.risky)
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
            if ("B4" if w.site_of(small[w.PRIM]) == site else "C5 two observers") in off:
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
            lost=frozenset(members(lost if "B5" not in off else ())),
            caught_up=frozenset(caught),
            copies={SITES[1 - site]: member(copies)} if copies >= 0 else {},
            opinions=opinions,
            providers=PROVIDERS,
            upstream_ready=ready,
            rejoin_failed=failed,
            publish_flush=publish,
            evidence_saved=bool(permit & 16),
            epoch_floor=self.floor,
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
    if "C6" in off and record.accepted:
        return _rewound_by_itself(facts, record)
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


def _rewound_by_itself(facts: KeeperFacts, record: Record) -> keeper.KeeperAction:
    """Nobody had to release what only a quarantined copy has."""
    freed = tuple(msgspec.structs.replace(loss, released_by="nobody") for loss in record.accepted)
    action = keeper.decide(msgspec.structs.replace(facts, record=msgspec.structs.replace(record, accepted=freed)))
    if isinstance(action, keeper.Swap):
        kept = (*record.accepted, *action.new.accepted[len(freed) :])
        return msgspec.structs.replace(action, new=msgspec.structs.replace(action.new, accepted=kept))
    return action
