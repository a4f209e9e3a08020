"""When the gates open (safety A1, E1, E2), and when silence counts as down."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failover.agent.watch import FlushWatch
from failover.model.observation import DatabaseFacts, Replica
from failover.model.record import Record
from failover.planner.gate import GateInputs, Hold, order
from failover.planner.verdict import DOWN, UNKNOWN, UP, Tally, verdict

A, B = "alpha_0000000a", "beta_0000000b"


def replica(flush: int) -> Replica:
    return Replica(application_name=B, state="streaming", sync_state="quorum", flush_lsn=flush, replay_lsn=flush)


def primary(flush: int = 100, position: int = 100) -> DatabaseFacts:
    return DatabaseFacts(
        state="primary", member=A, names=(B,), names_proven=(B,), replicas=(replica(flush),), position=position
    )


def inputs(**changes: Any) -> GateInputs:
    base = GateInputs(
        site="alpha",
        record=Record(epoch=2, revision=9, primary=A, sync=(B,)),
        db=primary(),
        evidence_at_s=100.0,
        fresh_s=2.0,
        recovered_lsn=100,
        now_s=101.0,
    )
    return msgspec.structs.replace(base, **changes)


def test_opens_with_everything_in_place_and_says_until_when() -> None:
    given = order(inputs())
    assert (given.state, given.primary, given.epoch, given.fresh_until_s) == ("open", "alpha", 2, 102.0)


@pytest.mark.parametrize(
    ("why", "changes"),
    [
        ("unread", {"record": None}),
        ("stale evidence (E1)", {"now_s": 102.0}),
        ("never any evidence", {"evidence_at_s": None}),
        ("standby behind the end of recovery (A1)", {"recovered_lsn": 101}),
        ("end of recovery unknown", {"recovered_lsn": None}),
        ("names not proven (B2)", {"db": msgspec.structs.replace(primary(), names_proven=None)}),
        ("still a standby", {"db": msgspec.structs.replace(primary(), state="standby")}),
        ("another copy (B1)", {"db": msgspec.structs.replace(primary(), member="alpha_ffffffff")}),
        ("held", {"hold": Hold(run="r", epoch=2, until_s=105.0)}),
        ("the peer does not serve yet", {"site": "beta", "serving_peer_epoch": 1}),
    ],
)
def test_anything_missing_or_unknown_closes(why: str, changes: dict[str, Any]) -> None:
    assert order(inputs(**changes)).state == "hold", why


def test_a_hold_ends_by_itself_by_time_and_with_its_epoch() -> None:
    assert order(inputs(hold=Hold(run="r", epoch=2, until_s=100.5))).state == "open"
    assert order(inputs(hold=Hold(run="r", epoch=1, until_s=105.0))).state == "open"


def test_a_standby_site_opens_to_the_primary_that_says_it_serves() -> None:
    given = order(inputs(site="beta", serving_peer_epoch=2))
    assert (given.state, given.primary) == ("open", "alpha")


def judged(tally: Tally, now_s: float) -> str:
    return verdict(tally, failures_needed=3, every_s=0.25, now_s=now_s)


def test_down_needs_every_one_of_the_last_and_one_answer_is_up() -> None:
    tally = Tally()
    assert judged(tally, 0.0) == UNKNOWN
    for at_s in (0.0, 0.25):
        tally = tally.after(ok=False, at_s=at_s)
        assert judged(tally, at_s) == UNKNOWN
    tally = tally.after(ok=False, at_s=0.5)
    assert judged(tally, 0.5) == DOWN
    assert judged(tally.after(ok=True, at_s=0.75), 0.75) == UP


def test_a_prober_that_stopped_knows_nothing() -> None:
    tally = Tally(failures=9, tried_at_s=0.0)
    assert judged(tally, 1.5) == UNKNOWN
    assert judged(Tally(failures=0, ok_at_s=0.0, tried_at_s=0.0), 1.5) == UNKNOWN


def test_b5_a_member_is_lost_by_standing_still_while_wal_is_pending_not_by_idling() -> None:
    watch = FlushWatch(stale_s=1.5)
    idle = primary(flush=100, position=100)
    for at_s in (0.0, 5.0, 60.0):
        watch.look(idle, now_s=at_s)
        assert watch.lost(idle, now_s=at_s) == frozenset()
    busy = primary(flush=100, position=200)
    watch.look(busy, now_s=61.0)
    assert watch.lost(busy, now_s=61.4) == frozenset()
    assert watch.lost(busy, now_s=61.6) == {B}


def test_a_member_that_vanished_is_lost_at_once_and_one_that_never_came_later() -> None:
    gone = msgspec.structs.replace(primary(), replicas=())
    fresh = FlushWatch(stale_s=1.5)
    fresh.look(gone, now_s=0.0)
    assert fresh.lost(gone, now_s=2.9) == frozenset()
    assert fresh.lost(gone, now_s=3.1) == {B}
    known = FlushWatch(stale_s=1.5)
    known.look(primary(), now_s=0.0)
    assert known.lost(gone, now_s=0.2) == {B}


def test_b2_caught_up_needs_the_proof_of_exactly_these_names() -> None:
    watch = FlushWatch(stale_s=1.5)
    db = primary(flush=100)
    assert watch.caught_up(db) == frozenset()
    watch.proved((B,), 101)
    assert watch.caught_up(db) == frozenset()
    watch.proved((B,), 100)
    assert watch.caught_up(db) == {B}
    assert watch.caught_up(msgspec.structs.replace(db, names_proven=None)) == frozenset()


def test_evidence_is_the_newest_heartbeat_that_every_member_flushed() -> None:
    watch = FlushWatch(stale_s=1.5)
    watch.beat(at_s=1.0, lsn=90)
    watch.beat(at_s=2.0, lsn=150)
    assert watch.heard_from_all((B,), primary(flush=100)) == 1.0
    assert watch.heard_from_all((B,), primary(flush=150)) == 2.0
    assert watch.heard_from_all((), primary(flush=150)) is None
    assert watch.heard_from_all((B, "gone_00000000"), primary(flush=150)) is None
