"""Plans of create and prune, and which snapshot is picked, for any stock of snapshots."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from failover.engine.order import check_plan
from failover.model.plan import CopySnapshot, Plan, Refusal, RemoveSnapshot, RemoveWal, TakeSnapshot
from failover.model.stores import Policy
from failover.planner.retention import Held, Orphan
from failover.planner.snapshot import Choice
from failover.planner.snapshot_pick import Candidate, before_lsn, before_time, newest, verify_site
from failover.planner.snapshot_plan import Behind, Kept, create_plan, prune_plan

NOW = datetime(2026, 11, 26, tzinfo=UTC)
STORES = ("s-north", "s-south")
HANDLED = (TakeSnapshot, CopySnapshot, RemoveSnapshot, RemoveWal)


@st.composite
def stocks(draw: st.DrawFn) -> list[Held]:
    found: list[Held] = []
    for index in range(draw(st.integers(0, 12))):
        parent = draw(st.sampled_from(["", *(one.id for one in found)]))
        stores = draw(st.sampled_from([STORES, STORES, STORES[:1], ()]))
        found.append(
            Held(
                id=f"s{index:02d}", kind="incremental" if parent else "full", parent=parent,
                created_at=NOW - timedelta(hours=draw(st.integers(0, 9000))), stores=stores,
                providers=tuple(store.removeprefix("s-") for store in stores),
                verified=draw(st.booleans()), removing=draw(st.sampled_from([False, False, True])),
            )
        )  # fmt: skip
    return found


def pruned(held: list[Held], orphans: list[Orphan], *, damaged: tuple[str, ...] = (), timeline: int = 1) -> Plan:
    answer = prune_plan(
        held, orphans, policy=Policy(hourly=2, daily=1, weekly=0, monthly=0), now=NOW, stores=STORES,
        system_identifier="7", unreachable={}, damaged=damaged, oldest_timeline=timeline,
        begins=[Kept(id=one.id, timeline=1, start_lsn=1000 + index) for index, one in enumerate(held)],
    )  # fmt: skip
    assert isinstance(answer, Plan)
    return answer


@given(stocks(), st.integers(0, 60))
def test_prune_never_takes_what_something_that_stays_stands_on(held: list[Held], hours: int) -> None:
    plan = pruned(held, [Orphan(id="o", begun_at=NOW - timedelta(hours=hours), stores=STORES)])
    check_plan(plan, HANDLED)
    going = [step.action.snapshot for step in plan.steps if isinstance(step.action, RemoveSnapshot)]
    known = {one.id: one for one in held}
    for one in held:
        if one.id in going:
            continue
        at = one.parent
        while at in known:
            assert at not in going
            at = known[at].parent
    for position, name in enumerate(going):
        if name in known and known[name].parent in going:
            assert going.index(known[name].parent) > position
    assert ("o" in going) == (hours > 24)
    assert all(any(told.startswith(f"kept: {one.id}:") for told in plan.measured) != (one.id in going) for one in held)


@given(stocks())
def test_wal_that_a_kept_snapshot_is_followed_by_stays(held: list[Held]) -> None:
    plan = pruned(held, [])
    wal = [step.action for step in plan.steps if isinstance(step.action, RemoveWal)]
    going = {step.action.snapshot for step in plan.steps if isinstance(step.action, RemoveSnapshot)}
    begins = [1000 + index for index, one in enumerate(held) if one.id not in going]
    assert all(action.before <= min(begins) for action in wal)
    assert not wal or begins
    # What is damaged may need it, and where none was shipped there is nothing to remove.
    for other in (pruned(held, [], damaged=("s-north: x is damaged",)), pruned(held, [], timeline=0)):
        assert not any(isinstance(step.action, RemoveWal) for step in other.steps)


@given(stocks())
def test_prune_is_refused_while_a_store_is_silent(held: list[Held]) -> None:
    answer = prune_plan(
        held, [], policy=Policy(), now=NOW, stores=STORES, system_identifier="7", unreachable={"s-north": "silent"},
        damaged=(), begins=(), oldest_timeline=0,
    )  # fmt: skip
    assert isinstance(answer, Refusal)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(STORES)), unique=True, max_size=6))
def test_create_takes_first_and_copies_after(behind: list[tuple[str, str]]) -> None:
    choice = Choice(kind="full", parent="", site="beta", stores=STORES, missing=(), why=("full: asked for",))
    plan = create_plan(choice, [Behind(snapshot=one, store=store) for one, store in behind], newest="")
    check_plan(plan, HANDLED)
    assert isinstance(plan.steps[0].action, TakeSnapshot) and plan.steps[0].required
    assert all("take" in step.after and not step.required for step in plan.steps[1:])
    assert len(plan.steps) == 1 + len(behind)


CANDIDATES = st.lists(
    st.builds(
        Candidate,
        id=st.uuids().map(str),
        timeline=st.integers(1, 3),
        stop=st.integers(1, 100),
        finished_at=st.integers(0, 100).map(lambda hours: NOW - timedelta(hours=hours)),
        taken_from=st.sampled_from(["alpha", "beta"]),
        proven=st.dictionaries(st.sampled_from(["alpha", "beta"]), st.just(NOW)),
    ),
    max_size=8,
)


@given(CANDIDATES, st.integers(0, 101), st.integers(-1, 101))
def test_what_is_picked_is_the_newest_that_fits(found: list[Candidate], lsn: int, hours: int) -> None:
    moment = NOW - timedelta(hours=hours)
    for picked, fits in (
        (newest(found), found),
        (before_lsn(found, lsn), [one for one in found if one.stop <= lsn]),
        (before_time(found, moment), [one for one in found if one.finished_at <= moment]),
    ):
        assert (picked is None) == (not fits)
        assert picked is None or all(one.finished_at <= picked.finished_at for one in fits)


@given(CANDIDATES)
def test_a_site_without_a_proof_comes_first(found: list[Candidate]) -> None:
    for one in found:
        site = verify_site(one, ("alpha", "beta"))
        unproven = {"alpha", "beta"} - set(one.proven)
        assert not unproven or site in unproven
        if len(unproven) == 2:
            assert site != one.taken_from
