"""Each law of safety A-C that the keeper carries, as one decision. Facts in, action out; nothing runs here."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from failover.model.observation import DatabaseFacts, Replica
from failover.model.record import Move, Record, Timeline, illegal
from failover.planner import keeper
from failover.planner.keeper import KeeperFacts, decide
from failover.planner.verdict import Opinion

A, B, A2 = "alpha_0000000a", "beta_0000000b", "alpha_0000000c"
SYSTEM = "42"
PROVIDERS = {"alpha": "north", "beta": "south", "gamma": "west"}


def record(**changes: Any) -> Record:
    base = Record(
        epoch=3,
        revision=30,
        primary=A,
        sync=(B,),
        timelines=(Timeline(tli=1, fork_lsn=0),),
        flushed_lsn=100,
        system_identifier=SYSTEM,
    )
    return msgspec.structs.replace(base, **changes)


def database(state: str, member: str, **changes: Any) -> DatabaseFacts:
    base = DatabaseFacts(state=state, member=member, system_identifier=SYSTEM, timeline=1, position=200)
    return msgspec.structs.replace(base, **changes)


def streaming(name: str, flush: int = 200) -> Replica:
    return Replica(application_name=name, state="streaming", sync_state="quorum", flush_lsn=flush, replay_lsn=flush)


def opinions(**verdicts: str) -> tuple[Opinion, ...]:
    return tuple(Opinion(observer=s, provider=PROVIDERS[s], verdict=v) for s, v in verdicts.items())


def facts(site: str, rec: Record | None, db: DatabaseFacts, **changes: Any) -> KeeperFacts:
    base = KeeperFacts(site=site, record=rec, db=db, providers=PROVIDERS, upstream_ready=True)
    return msgspec.structs.replace(base, **changes)


def protected_primary(**changes: Any) -> DatabaseFacts:
    return database("primary", A, names=(B,), names_proven=(B,), replicas=(streaming(B),), **changes)


def standby(**changes: Any) -> DatabaseFacts:
    base = database("standby", B, upstream="alpha", streaming=True, names=(A,), names_proven=(A,))
    return msgspec.structs.replace(base, **changes)


def test_an_unread_record_moves_nothing() -> None:
    assert isinstance(decide(facts("alpha", None, protected_primary())), keeper.Idle)


def test_a_database_is_born_only_in_epoch_0() -> None:
    empty = database("absent", "", position=0)
    assert isinstance(decide(facts("alpha", record(epoch=0, sync=()), empty)), keeper.CreateDatabase)
    later = decide(facts("alpha", record(), empty))
    assert isinstance(later, keeper.Idle) and later.trouble


def test_c2_every_start_as_primary_swaps_first_and_the_permit_is_for_that_revision() -> None:
    stopped = database("stopped", A, was_primary=True)
    first = decide(facts("alpha", record(), stopped))
    assert isinstance(first, keeper.Swap) and first.permits_start and first.new.revision == 31
    assert isinstance(decide(facts("alpha", record(), stopped, start_permit=29)), keeper.Swap)
    started = decide(facts("alpha", record(), stopped, start_permit=30))
    assert started == keeper.StartPrimary(names=(B,), why=started.why)


def test_c2_stands_down_while_the_move_is_live_and_swaps_it_away_after() -> None:
    move = Move(run="r", kind="switchover", source=A, target=B, budget_s=10.0)
    stopped = database("stopped", A, was_primary=True)
    assert isinstance(decide(facts("alpha", record(move=move), stopped, move_age_s=9.0)), keeper.Idle)
    over = decide(facts("alpha", record(move=move), stopped, move_age_s=11.0))
    assert isinstance(over, keeper.Swap) and over.new.move is None and over.permits_start


def test_a_primary_stopped_cleanly_for_a_move_waits_as_a_standby_of_its_target() -> None:
    """It acknowledges nothing there, whatever becomes of the move; the pause is its start shorter."""
    move = Move(run="r", kind="switchover", source=A, target=B, budget_s=10.0)
    stopped = database("stopped", A, was_primary=True, clean_shutdown=True)
    waiting = decide(facts("alpha", record(move=move), stopped, move_age_s=1.0))
    assert waiting == keeper.StartStandby(upstream="beta", names=(B,), why=waiting.why)
    over = decide(facts("alpha", record(move=move), stopped, move_age_s=11.0))
    assert isinstance(over, keeper.Swap) and over.permits_start


def test_c5_it_is_stopped_once_more_when_the_move_ends_without_its_commit() -> None:
    waiting = database("standby", A, upstream="beta", names=(B,), names_proven=(B,))
    ended = decide(facts("alpha", record(), waiting))
    assert ended == keeper.StopDatabase(why=ended.why, clean=True)


def test_b1_another_copy_than_the_records_is_never_started_as_primary() -> None:
    stranger = decide(facts("alpha", record(), database("stopped", A2, was_primary=True)))
    assert isinstance(stranger, keeper.Idle) and stranger.trouble


def test_names_cover_the_record_before_anything_else() -> None:
    db = database("primary", A, names=(), names_proven=())
    assert decide(facts("alpha", record(), db)) == keeper.SetNames(
        names=(B,), why=f"{B} is sync in the record but not in the names"
    )


def test_b2_a_member_is_named_then_proven_then_caught_up_then_recorded() -> None:
    alone = record(sync=())
    db = database("primary", A, names=(), names_proven=(), replicas=(streaming(B),))
    copies = {"beta": B}
    named = decide(facts("alpha", alone, db, copies=copies))
    assert named == keeper.SetNames(names=(B,), why=named.why)
    unproven = msgspec.structs.replace(db, names=(B,), names_proven=None)
    assert isinstance(decide(facts("alpha", alone, unproven, copies=copies)), keeper.ProveNames)
    proven = msgspec.structs.replace(db, names=(B,), names_proven=(B,))
    assert isinstance(decide(facts("alpha", alone, proven, copies=copies)), keeper.Idle)
    joined = decide(facts("alpha", alone, proven, copies=copies, caught_up=frozenset({B})))
    assert isinstance(joined, keeper.Swap) and joined.new.sync == (B,)


def test_b1_a_clone_that_no_agent_vouches_for_is_never_named() -> None:
    alone = record(sync=())
    db = database("primary", A, names=(), names_proven=(), replicas=(streaming(B),))
    assert isinstance(decide(facts("alpha", alone, db, copies={"beta": "beta_ffffffff"})), keeper.Idle)


def test_b4_degrades_only_with_the_witness_and_only_when_allowed() -> None:
    lost = {"lost": frozenset({B})}
    db = protected_primary()
    agree = {"beta": opinions(alpha="down", gamma="down")}
    degraded = decide(facts("alpha", record(), db, opinions=agree, **lost))
    assert isinstance(degraded, keeper.Swap) and degraded.new.sync == ()
    for said in ("up", "unknown"):
        doubted = {"beta": opinions(alpha="down", gamma=said)}
        stalled = decide(facts("alpha", record(), db, opinions=doubted, **lost))
        assert isinstance(stalled, keeper.Idle) and stalled.trouble
    stall = decide(facts("alpha", record(), db, opinions=agree, on_standby_loss="stall", **lost))
    assert isinstance(stall, keeper.Idle) and stall.trouble


def test_a_copy_that_was_replaced_leaves_sync_without_a_witness() -> None:
    replaced = decide(
        facts("alpha", record(), protected_primary(), lost=frozenset({B}), copies={"beta": "beta_ffffffff"})
    )
    assert isinstance(replaced, keeper.Swap) and replaced.new.sync == ()


@pytest.mark.parametrize(
    ("said", "moves"),
    [
        ({"beta": "down", "gamma": "down"}, True),
        ({"beta": "down", "gamma": "up"}, False),
        ({"beta": "down", "gamma": "unknown"}, False),
        ({"beta": "down"}, False),
        ({"beta": "down", "alpha": "down"}, False),
        ({"beta": "unknown", "gamma": "down"}, False),
    ],
)
def test_promotion_needs_two_observers_at_two_live_providers(said: dict[str, str], moves: bool) -> None:
    action = decide(facts("beta", record(), standby(), opinions={"alpha": opinions(**said)}))
    assert isinstance(action, keeper.Swap) == moves
    if isinstance(action, keeper.Swap):
        assert (action.new.primary, action.new.epoch, action.new.sync) == (B, 4, ())
        assert action.new.timelines[-1] == Timeline(tli=2, fork_lsn=200)
        assert illegal(record(), action.new) == ""


DOWN = {"alpha": opinions(beta="down", gamma="down")}


def test_promotion_is_refused_outside_sync_behind_the_flush_and_for_another_database() -> None:
    outside = decide(facts("beta", record(sync=()), standby(), opinions=DOWN))
    behind = decide(facts("beta", record(flushed_lsn=201), standby(), opinions=DOWN))
    foreign = decide(facts("beta", record(system_identifier="7"), standby(), opinions=DOWN))
    for action in (outside, behind, foreign):
        assert isinstance(action, keeper.Idle) and action.trouble


def test_promote_ask_waits_for_an_operator_and_still_passes_every_guard() -> None:
    assert isinstance(decide(facts("beta", record(), standby(), opinions=DOWN, promote="ask")), keeper.Idle)
    asked = record(move=Move(run="r", kind="promote", source=A, target=B, budget_s=30.0))
    assert isinstance(decide(facts("beta", asked, standby(), opinions=DOWN, promote="ask")), keeper.Swap)
    healthy = {"alpha": opinions(beta="up", gamma="up")}
    assert isinstance(decide(facts("beta", asked, standby(), opinions=healthy, promote="ask")), keeper.Idle)


def test_a_live_planned_move_is_not_overtaken() -> None:
    moving = record(move=Move(run="r", kind="switchover", source=A, target=B, budget_s=10.0))
    assert isinstance(decide(facts("beta", moving, standby(), opinions=DOWN, move_age_s=1.0)), keeper.Idle)
    assert isinstance(decide(facts("beta", moving, standby(), opinions=DOWN, move_age_s=11.0)), keeper.Idle)
    assert isinstance(decide(facts("beta", moving, standby(), opinions=DOWN, move_age_s=13.1)), keeper.Swap)


def test_a_primary_stopped_for_a_move_that_was_taken_back_may_open_again_first() -> None:
    ended = record()
    assert isinstance(decide(facts("beta", ended, standby(), opinions=DOWN, move_ended_s=2.9)), keeper.Idle)
    assert isinstance(decide(facts("beta", ended, standby(), opinions=DOWN, move_ended_s=3.0)), keeper.Swap)
    asked = record(move=Move(run="r", kind="promote", source=A, target=B, budget_s=30.0))
    assert isinstance(decide(facts("beta", asked, standby(), opinions=DOWN, move_ended_s=1.0)), keeper.Swap)


def test_rolls_forward_alone_names_first_proof_second_promotion_last() -> None:
    mine = record(primary=B, sync=(A,), epoch=4, timelines=(Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=200)))
    wrong = decide(facts("beta", mine, standby(names=("alpha_ffffffff",))))
    assert isinstance(wrong, keeper.SetNames) and wrong.names == (A,)
    assert isinstance(decide(facts("beta", mine, standby(names_proven=None))), keeper.ProveNames)
    assert isinstance(decide(facts("beta", mine, standby())), keeper.Promote)


def test_a_copy_the_record_moved_to_promotes_and_never_starts_on_its_old_timeline() -> None:
    mine = record(primary=B, sync=(A,), epoch=4, timelines=(Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=200)))
    action = decide(facts("beta", mine, database("stopped", B, timeline=1)))
    assert isinstance(action, keeper.StartStandby)


def test_a_running_primary_that_the_record_left_is_stopped() -> None:
    moved = record(primary=B, sync=(), epoch=4)
    assert isinstance(decide(facts("alpha", moved, protected_primary())), keeper.StopDatabase)


FORKED = (Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=500))


@pytest.mark.parametrize(
    ("clean", "checkpoint", "kind"),
    [(True, 400, keeper.StartStandby), (True, 500, keeper.Rejoin), (False, 400, keeper.Rejoin)],
)
def test_only_a_clean_stop_before_the_fork_rejoins_without_a_rewind(
    clean: bool, checkpoint: int, kind: type[keeper.KeeperAction]
) -> None:
    moved = record(primary=B, sync=(), epoch=4, timelines=FORKED)
    db = database("stopped", A, was_primary=True, clean_shutdown=clean, checkpoint_lsn=checkpoint)
    assert isinstance(decide(facts("alpha", moved, db, own_revision=30)), kind)


def test_b1_an_old_id_leaves_the_record_before_its_directory_is_touched() -> None:
    moved = record(primary=B, sync=(A,), epoch=4, timelines=FORKED)
    db = database("stopped", A, was_primary=True, clean_shutdown=False, checkpoint_lsn=400)
    assert isinstance(decide(facts("alpha", moved, db)), keeper.Idle)


def test_a_failed_rewind_becomes_a_base_backup() -> None:
    moved = record(primary=B, sync=(), epoch=4, timelines=FORKED)
    db = database("stopped", A, was_primary=True)
    action = decide(facts("alpha", moved, db, rejoin_failed=True, own_revision=30))
    assert isinstance(action, keeper.Rejoin) and not action.rewind


def test_a_standby_is_made_ready_to_be_promoted() -> None:
    unset = standby(names=(), names_proven=())
    assert isinstance(decide(facts("beta", record(), unset)), keeper.SetNames)
    assert isinstance(decide(facts("beta", record(), standby(names_proven=None))), keeper.ProveNames)


def test_the_true_fork_replaces_the_guess_of_the_swap() -> None:
    mine = record(primary=B, sync=(), epoch=4, timelines=FORKED)
    db = database("primary", B, timeline=2, fork_lsn=480, names=(), names_proven=())
    action = decide(facts("beta", mine, db))
    assert isinstance(action, keeper.Swap) and action.new.timelines[-1].fork_lsn == 480


def test_names_are_narrowed_only_when_no_swap_can_be_on_its_way() -> None:
    """A swap that added a member and was never answered may still arrive: alone, the primary would acknowledge what
    that member lacks, and the member be promoted."""
    db = database("primary", A, names=(B,), names_proven=(B,))
    gone = {"lost": frozenset({B})}
    bump = decide(facts("alpha", record(sync=()), db, sent_revision=30, **gone))
    assert isinstance(bump, keeper.Swap) and bump.new == record(sync=()).next()
    narrowed = decide(facts("alpha", record(sync=()), db, sent_revision=29, **gone))
    assert narrowed == keeper.SetNames(names=(), why=narrowed.why)


def test_names_that_wait_to_be_recorded_are_kept_when_another_is_missing() -> None:
    db = database("primary", A, names=(A2,), names_proven=(A2,))
    action = decide(facts("alpha", record(), db))
    assert isinstance(action, keeper.SetNames) and action.names == (A2, B)


def test_a_copy_is_touched_only_stopped_and_after_a_swap_of_its_keeper() -> None:
    """A record read long ago does not list it; the primary may have added it since, by what it saw it flush."""
    hung = standby(streaming=False)
    stopped = decide(facts("beta", record(sync=()), hung, rejoin_failed=True))
    assert isinstance(stopped, keeper.StopDatabase)
    down = database("stopped", B)
    bump = decide(facts("beta", record(sync=()), down, rejoin_failed=True))
    assert isinstance(bump, keeper.Swap) and bump.new == record(sync=()).next()
    touched = decide(facts("beta", record(sync=()), down, rejoin_failed=True, own_revision=30))
    assert isinstance(touched, keeper.Rejoin) and not touched.rewind
    assert isinstance(decide(facts("beta", record(), down, rejoin_failed=True, own_revision=30)), keeper.Idle)


@pytest.mark.parametrize(("site", "member"), [("alpha", A), ("beta", B)])
def test_a_copy_whose_disk_went_back_gives_its_id_up(site: str, member: str) -> None:
    ahead = record(flushed_lsn=201)
    went_back = database("stopped", member, was_primary=site == "alpha")
    assert isinstance(decide(facts(site, ahead, went_back, start_permit=30)), keeper.Rename)
    assert not isinstance(decide(facts(site, record(), went_back)), keeper.Rename)


def test_a_standby_whose_disk_went_back_is_made_anew_once_nobody_counts_on_it() -> None:
    """Under its old id it would pass for the copy that had caught up before."""
    went_back = database("stopped", B)
    action = decide(facts("beta", record(sync=(), flushed_lsn=201), went_back, own_revision=30))
    assert isinstance(action, keeper.Rejoin) and not action.rewind


def test_a_former_primary_whose_disk_went_back_is_never_rewound() -> None:
    moved = record(primary=B, sync=(), epoch=4, timelines=FORKED, flushed_lsn=400)
    went_back = database("stopped", A2, was_primary=True, position=390)
    action = decide(facts("alpha", moved, went_back, own_revision=30))
    assert isinstance(action, keeper.Rejoin) and not action.rewind


def test_a_primary_that_somebody_started_as_a_standby_is_never_promoted() -> None:
    """C5: it would take a timeline's number that the record does not know of."""
    stray = database("standby", A, names=(B,), names_proven=(B,))
    assert isinstance(decide(facts("alpha", record(), stray)), keeper.StopDatabase)
    move = Move(run="r", kind="switchover", source=A, target=B, budget_s=10.0)
    assert isinstance(decide(facts("alpha", record(move=move), stray, move_age_s=1.0)), keeper.Idle)
