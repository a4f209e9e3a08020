"""For every combination of facts: an answer, and never one that breaks a law."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from failover.model.observation import DatabaseFacts, Replica
from failover.model.record import AcceptedLoss, Alone, Move, Record, Timeline, illegal
from failover.planner import keeper
from failover.planner.keeper import KeeperFacts, decide
from failover.planner.verdict import Opinion, agreed_down

MEMBERS = ["alpha_0000000a", "alpha_0000000c", "beta_0000000b", "beta_0000000d"]
SITES = ["alpha", "beta"]
PROVIDERS = {"alpha": "north", "beta": "south", "gamma": "west"}
lsn = st.integers(0, 20)


def loss_of(source: str) -> AcceptedLoss:
    return AcceptedLoss(epoch=1, run="q", source=source, target="gamma_0000000e", fork_lsn=1, accepted_s=1.0)


names = st.lists(st.sampled_from(MEMBERS), unique=True, max_size=2).map(tuple)


@st.composite
def records(draw: st.DrawFn) -> Record:
    primary = draw(st.sampled_from(MEMBERS))
    sync = tuple(name for name in draw(names) if name != primary)
    move = draw(
        st.none()
        | st.builds(
            Move,
            run=st.just("r"),
            kind=st.sampled_from(["switchover", "promote"]),
            source=st.sampled_from(MEMBERS),
            target=st.sampled_from(MEMBERS),
            budget_s=st.just(10.0),
            accept_loss_s=st.sampled_from([0.0, 5.0, 50.0]),
        )
    )
    stretch = draw(
        st.none()
        | st.builds(
            Alone,
            from_lsn=lsn,
            held_by=names,
            written_lsn=lsn,
            seconds_s=st.sampled_from([0.0, 20.0]),
            at_unix_s=st.just(0.0),
        )
    )
    losses = draw(st.lists(st.sampled_from(MEMBERS).map(loss_of), max_size=2))
    lines = tuple(Timeline(tli=i + 1, fork_lsn=draw(lsn)) for i in range(draw(st.integers(0, 3))))
    return Record(
        epoch=draw(st.integers(0, 3)), revision=draw(st.integers(1, 9)), primary=primary, sync=sync, move=move,
        timelines=lines, flushed_lsn=draw(lsn), alone=stretch, accepted=tuple(losses),
        system_identifier=draw(st.sampled_from(["", "1"])),
    )  # fmt: skip


replicas = st.lists(
    st.builds(
        Replica, application_name=st.sampled_from(MEMBERS), state=st.sampled_from(["streaming", "catchup"]),
        sync_state=st.just("quorum"), flush_lsn=lsn, replay_lsn=lsn,
    ),
    max_size=2,
).map(tuple)  # fmt: skip
databases = st.builds(
    DatabaseFacts,
    state=st.sampled_from(["absent", "stopped", "starting", "primary", "standby"]),
    member=st.sampled_from(["", *MEMBERS]),
    system_identifier=st.sampled_from(["", "1", "2"]),
    timeline=st.integers(1, 4),
    fork_lsn=lsn,
    position=lsn,
    upstream=st.sampled_from(["", *SITES]),
    streaming=st.booleans(),
    names=names,
    names_proven=st.none() | names,
    replicas=replicas,
    clean_shutdown=st.booleans(),
    was_primary=st.booleans(),
    checkpoint_lsn=lsn,
)
verdicts = st.lists(
    st.builds(
        lambda site, verdict: Opinion(observer=site, provider=PROVIDERS[site], verdict=verdict),
        st.sampled_from(list(PROVIDERS)),
        st.sampled_from(["up", "down", "unknown"]),
    ),
    max_size=3,
).map(tuple)
all_facts = st.builds(
    KeeperFacts,
    site=st.sampled_from(SITES),
    record=st.none() | records(),
    db=databases,
    start_permit=st.integers(0, 9),
    sent_revision=st.integers(0, 9),
    own_revision=st.integers(0, 9),
    move_age_s=st.floats(0, 20),
    lost=st.frozensets(st.sampled_from(MEMBERS)),
    caught_up=st.frozensets(st.sampled_from(MEMBERS)),
    copies=st.dictionaries(st.sampled_from(SITES), st.sampled_from(MEMBERS)),
    opinions=st.dictionaries(st.sampled_from(SITES), verdicts),
    providers=st.just(PROVIDERS),
    upstream_ready=st.booleans(),
    rejoin_failed=st.booleans(),
    publish_flush=lsn,
    alone_s=st.sampled_from([0.0, 7.0]),
    evidence_saved=st.booleans(),
    promote=st.sampled_from(["auto", "ask"]),
    on_standby_loss=st.sampled_from(["stall", "degrade"]),
)


@settings(max_examples=600, deadline=None)
@given(all_facts)
def test_every_decision_keeps_the_laws(facts: KeeperFacts) -> None:
    action = decide(facts)
    record, db = facts.record, facts.db
    if record is None:
        assert isinstance(action, keeper.Idle)
        return
    mine = record.primary_site == facts.site
    match action:
        case keeper.Swap(new=new, expected_revision=expected):
            assert expected == record.revision
            if new.primary != record.primary:
                assert new.primary == db.member and not mine
                if db.member not in record.sync:
                    move = record.move
                    assert move is not None and move.kind == "promote" and not record.sync and record.alone is not None
                    assert move.accept_loss_s >= record.alone.seconds_s and new.accepted[-1].source == record.primary
                assert agreed_down(facts.opinions[record.primary_site], suspect_provider=PROVIDERS[record.primary_site])
                assert db.position >= record.flushed_lsn and illegal(record, new) == ""
            else:
                assert mine or new == record.next(), "only the primary's keeper writes anything but primary (C1)"
            for added in set(new.sync) - set(record.sync):
                assert added in facts.caught_up and db.names_proven == db.names and added in db.names
        case keeper.StartPrimary(names=started):
            assert mine and facts.start_permit == record.revision and db.member == record.primary
            assert started == record.sync
        case keeper.CreateDatabase():
            assert record.epoch == 0 and db.state == "absent" and mine
        case keeper.Promote():
            assert not record.timelines or db.timeline < record.timelines[-1].tli, "one number, two histories (C5)"
            assert mine and db.member == record.primary and db.names_proven == record.sync
        case keeper.SetNames(names=wanted):
            if mine:
                assert set(record.sync) <= set(wanted)
        case keeper.Rejoin():
            assert db.state == "stopped" and 0 < facts.own_revision <= record.revision
            assert not mine and all(not member.startswith(facts.site) for member in record.sync)
            assert record.quarantine(db.member) is None, "what only this copy has is not rewound"
        case keeper.SaveEvidence():
            assert not mine and db.state == "stopped" and record.quarantine(db.member) is not None
        case keeper.StopDatabase():
            hung = facts.rejoin_failed and not db.streaming and facts.upstream_ready
            stray = mine and db.state == "standby" and db.timeline >= record.timelines[-1].tli
            fenced = not mine and (db.state == "primary" or hung or record.quarantine(db.member) is not None)
            assert stray or fenced
        case keeper.StartStandby():
            assert mine or record.quarantine(db.member) is None
        case keeper.Seed():
            assert db.state == "absent" and not mine
        case _:
            assert isinstance(action, keeper.KeeperAction)
