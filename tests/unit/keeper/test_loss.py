"""A primary that acknowledged alone: what it says of itself, who may be promoted over it, and what is kept of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failover.adapters.record_value import decode_record, encode_record
from failover.errors import Damaged
from failover.model.record import AcceptedLoss, Alone, Move, Record, Timeline, illegal
from failover.planner import keeper
from failover.planner.keeper import decide
from tests.unit.keeper.test_decide import A2, A, B, database, facts, opinions, protected_primary, record, standby

GONE = {"alpha": opinions(beta="down", gamma="down")}
STRETCH = Alone(from_lsn=150, held_by=(B,), written_lsn=900, seconds_s=30.0, at_unix_s=1000.0)
LOSS = AcceptedLoss(epoch=4, run="r", source=A, target=B, fork_lsn=200, accepted_s=60.0)


def alone(**changes: Any) -> Record:
    move = Move(run="r", kind="promote", source=A, target=B, budget_s=60.0, accept_loss_s=60.0)
    return record(**{"sync": (), "alone": STRETCH, "move": move, **changes})


def test_a_primary_left_alone_says_since_when_and_then_how_long() -> None:
    gone = {"beta": opinions(gamma="down")}
    left = decide(facts("alpha", record(), protected_primary(), lost=frozenset({B}), opinions=gone, now_unix_s=5.0))
    assert isinstance(left, keeper.Swap)
    assert left.new.alone == Alone(from_lsn=200, held_by=(B,), written_lsn=200, seconds_s=0.0, at_unix_s=5.0)
    lonely = database("primary", A, names=(), names_proven=(), position=700)
    later = decide(facts("alpha", left.new, lonely, alone_s=12.0, now_unix_s=17.0))
    assert isinstance(later, keeper.Swap)
    assert later.new.alone == Alone(from_lsn=200, held_by=(B,), written_lsn=700, seconds_s=12.0, at_unix_s=17.0)
    assert isinstance(decide(facts("alpha", left.new, lonely)), keeper.Idle), "not due: nothing is written"


def test_a_member_that_is_added_ends_the_stretch() -> None:
    db = database("primary", A, names=(B,), names_proven=(B,))
    joined = decide(facts("alpha", record(sync=(), alone=STRETCH), db, caught_up=frozenset({B})))
    assert isinstance(joined, keeper.Swap) and joined.new.sync == (B,) and joined.new.alone is None


def test_an_accepted_loss_promotes_and_is_written_down() -> None:
    before = alone()
    taken = decide(facts("beta", before, standby(), opinions=GONE))
    assert isinstance(taken, keeper.Swap)
    assert taken.new.accepted == (LOSS,)
    assert taken.new.version == 2, "an agent that does not know of quarantine must not act on this record"
    assert illegal(before, taken.new) == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"move": None},
        {"move": Move(run="r", kind="promote", source=A, target=B, budget_s=60.0)},
        {"move": Move(run="r", kind="promote", source=A, target=B, budget_s=60.0, accept_loss_s=29.0)},
        {"alone": None},
        {"sync": (A2,)},
        {"alone": msgspec.structs.replace(STRETCH, held_by=(), from_lsn=201)},
        {"flushed_lsn": 201},
        {"system_identifier": "another"},
        {"alone": msgspec.structs.replace(STRETCH, held_by=()), "timelines": (Timeline(tli=2, fork_lsn=90),)},
    ],
    ids=[
        "nobody asked", "nothing accepted", "too little accepted", "how long it ran alone is not known",
        "another copy is in sync", "a copy from before the stretch", "its disk went back", "another database",
        "a copy of an older timeline",
    ],
)  # fmt: skip
def test_a_copy_that_is_not_in_sync_stays_a_standby(changes: dict[str, Any]) -> None:
    assert isinstance(decide(facts("beta", alone(**changes), standby(), opinions=GONE)), keeper.Idle)


def test_an_accepted_loss_still_needs_two_observers() -> None:
    answer = decide(facts("beta", alone(), standby(), opinions={"alpha": opinions(beta="down", gamma="up")}))
    assert not isinstance(answer, keeper.Swap)


def test_a_copy_in_sync_loses_nothing_even_if_a_loss_was_accepted() -> None:
    taken = decide(facts("beta", alone(sync=(B,), alone=None), standby(), opinions=GONE))
    assert isinstance(taken, keeper.Swap) and taken.new.accepted == ()


def promoted(**changes: Any) -> Record:
    lines = (Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=190))
    return record(epoch=4, primary=B, sync=(), timelines=lines, accepted=(LOSS,), **changes)


def test_a_quarantined_copy_is_stopped_saved_and_then_left_alone() -> None:
    now = promoted()
    assert isinstance(decide(facts("alpha", now, database("primary", A))), keeper.StopDatabase)
    assert isinstance(decide(facts("alpha", now, database("standby", A))), keeper.StopDatabase)
    stopped = database("stopped", A, was_primary=True)
    saved = decide(facts("alpha", now, stopped))
    assert isinstance(saved, keeper.SaveEvidence) and saved.fork_lsn == 190
    unsure = decide(facts("alpha", now, stopped, upstream_ready=False))
    assert isinstance(unsure, keeper.Idle), "the swap only guessed the fork"
    for failed in (False, True):
        kept = decide(facts("alpha", now, stopped, evidence_saved=True, rejoin_failed=failed))
        assert isinstance(kept, keeper.Idle) and kept.trouble and "failover rejoin alpha" in kept.why


def test_a_released_copy_rejoins() -> None:
    now = promoted()
    released = now.release(A, "run-2")
    assert illegal(now, released) == "" and released.version == 1
    stopped = database("stopped", A, was_primary=True)
    answer = decide(facts("alpha", released, stopped, evidence_saved=True, own_revision=released.revision))
    assert isinstance(answer, keeper.Rejoin) and answer.rewind


def test_another_copy_of_that_site_is_no_quarantine() -> None:
    assert isinstance(decide(facts("alpha", promoted(), database("absent", ""))), keeper.Seed)
    assert isinstance(decide(facts("alpha", promoted(), database("standby", A2, upstream="gamma"))), keeper.Follow)


def test_the_record_refuses_what_was_not_accepted() -> None:
    before = alone()
    good = before.next(epoch=4, primary=B, move=None, accepted=(LOSS,))
    assert illegal(before, good) == ""
    change = msgspec.structs.replace
    for wrong in (
        change(good, accepted=()),
        change(good, accepted=(LOSS, LOSS)),
        change(good, accepted=(change(LOSS, accepted_s=61.0),)),
        change(good, accepted=(change(LOSS, run="other"),)),
        change(good, accepted=(change(LOSS, source=A2),)),
        change(good, accepted=(change(LOSS, epoch=5),)),
        change(good, accepted=(change(LOSS, released_by="r"),)),
        change(before.next(), accepted=(LOSS,)),
    ):
        assert illegal(before, wrong), wrong
    for ground in (alone(sync=(A2,)), alone(move=None), alone(move=change(before.move, accept_loss_s=0.0))):
        assert illegal(ground, good), ground
    now = promoted()
    assert illegal(now, now.next(accepted=()))
    assert illegal(now, now.next(accepted=(change(LOSS, accepted_s=1.0),)))
    released = now.release(A, "run-2")
    assert illegal(released, released.release(A, "run-3")) == "", "a release that was noted stays as it is"
    assert illegal(released, released.next(accepted=(LOSS,))), "a release is not taken back"


def test_fields_of_a_newer_agent_survive_a_swap() -> None:
    newer = encode_record(record()).replace(b'{"', b'{"colour":{"deep":[1,2]},"', 1)
    mine = decode_record(newer, where="here")
    assert mine == msgspec.structs.replace(record(), unknown=(("colour", '{"deep":[1,2]}'),))
    again = msgspec.json.decode(encode_record(mine.next(sync=())))
    assert again["colour"] == {"deep": [1, 2]} and again["sync"] == [] and "unknown" not in again


def test_a_record_for_newer_agents_only_is_not_acted_on() -> None:
    with pytest.raises(Damaged, match="version 3") as caught:
        decode_record(encode_record(msgspec.structs.replace(record(), version=3)), where="here")
    assert "upgrade" in caught.value.hint
