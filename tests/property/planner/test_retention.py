"""Laws of retention: whatever the stores hold, nothing that is needed goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from failover.model.stores import Policy
from failover.planner.retention import Held, Orphan, Retention, chain, retain

NOW = datetime(2026, 11, 25, 23, 0, tzinfo=UTC)
STORES = (("s-alpha", "alpha"), ("s-beta", "beta"), ("s-gamma", "gamma"), ("s-gamma2", "gamma"))


@st.composite
def histories(draw: st.DrawFn) -> list[Held]:
    """Up to 14 snapshots; an incremental is younger than its parent, which may be gone."""
    held: list[Held] = []
    for index in range(draw(st.integers(0, 14))):
        at = NOW - timedelta(hours=draw(st.integers(0, 9000)))
        older = [each for each in held if each.created_at <= at]
        parent = draw(st.sampled_from([*(each.id for each in older), "gone", "", "", ""]))
        places = draw(st.lists(st.sampled_from(STORES), unique=True, max_size=4))
        held.append(
            Held(
                id=f"s{index}",
                kind="incremental" if parent else "full",
                parent=parent,
                created_at=at,
                stores=tuple(store for store, _ in places),
                providers=tuple({provider: None for _, provider in places}),
                verified=draw(st.booleans()),
                removing=draw(st.integers(0, 5)) == 0,
                locked_until=draw(st.sampled_from([None, None, NOW + timedelta(days=1), NOW - timedelta(days=1)])),
            )
        )
    return held


policies = st.builds(
    Policy, hourly=st.integers(0, 5), daily=st.integers(0, 5), weekly=st.integers(0, 5), monthly=st.integers(0, 5)
)


def decided(held: list[Held], policy: Policy) -> Retention:
    return retain(held, [], policy=policy, now=NOW)


def usable(held: list[Held]) -> list[Held]:
    known = {each.id: each for each in held}

    def whole(each: Held) -> bool:
        links = chain(each.id, known)
        return links is not None and all(len(known[i].providers) >= 2 and not known[i].removing for i in links)

    return sorted((each for each in held if whole(each)), key=lambda each: (each.created_at, each.id))


@given(histories(), policies)
def test_each_snapshot_stays_with_a_reason_or_goes(held: list[Held], policy: Policy) -> None:
    answer = decided(held, policy)
    kept, gone = {keep.id for keep in answer.keep}, {remove.id for remove in answer.remove}
    assert kept | gone == {each.id for each in held}
    assert not kept & gone
    assert all(keep.why for keep in answer.keep)


@given(histories(), policies)
def test_what_stays_can_be_restored_as_well_as_before(held: list[Held], policy: Policy) -> None:
    answer = decided(held, policy)
    known = {each.id: each for each in held}
    kept = {keep.id for keep in answer.keep}
    for name in kept:
        parent = known[name].parent
        assert parent in kept or parent not in known


@given(histories(), policies)
def test_the_newest_and_the_last_verified_stay(held: list[Held], policy: Policy) -> None:
    kept = {keep.id for keep in decided(held, policy).keep}
    whole = usable(held)
    assert {each.id for each in whole[-1:]} <= kept
    assert {each.id for each in [each for each in whole if each.verified][-1:]} <= kept


@given(histories(), policies)
def test_nothing_goes_from_the_last_provider_that_has_it(held: list[Held], policy: Policy) -> None:
    known = {each.id: each for each in held}
    for remove in decided(held, policy).remove:
        assert len(known[remove.id].providers) >= 2 or known[remove.id].removing


@given(histories(), policies)
def test_a_lock_is_respected_and_children_go_before_their_parents(held: list[Held], policy: Policy) -> None:
    known = {each.id: each for each in held}
    order = [remove.id for remove in decided(held, policy).remove]
    for place, name in enumerate(order):
        assert known[name].removing or known[name].locked_until is None or known[name].locked_until <= NOW
        assert known[name].parent not in order[:place]


@given(histories(), policies)
def test_after_a_prune_nothing_more_goes(held: list[Held], policy: Policy) -> None:
    kept = {keep.id for keep in decided(held, policy).keep}
    again = decided([each for each in held if each.id in kept], policy)
    assert not again.remove


def test_the_periods_keep_the_newest_of_each() -> None:
    held = [
        Held(
            id=f"h{hours:04}",
            kind="full",
            created_at=NOW - timedelta(hours=hours),
            stores=("a", "b"),
            providers=("a", "b"),
        )
        for hours in range(0, 24 * 40, 6)
    ]
    answer = decided(held, Policy(hourly=2, daily=3, weekly=2, monthly=2))
    assert {keep.id: keep.why for keep in answer.keep} == {
        "h0000": ("the newest", "hour 2026-11-25 23h", "day 2026-11-25", "week 2026-W48", "month 2026-11"),
        "h0006": ("hour 2026-11-25 17h",),
        "h0024": ("day 2026-11-24",),
        "h0048": ("day 2026-11-23",),
        "h0072": ("week 2026-W47",),
        "h0600": ("month 2026-10",),
    }


def test_an_old_orphan_goes_and_a_fresh_one_may_still_be_written() -> None:
    orphans = [
        Orphan(id="old", begun_at=NOW - timedelta(days=2), stores=("a",)),
        Orphan(id="fresh", begun_at=NOW - timedelta(hours=2), stores=("a",)),
    ]
    answer = retain([], orphans, policy=Policy(), now=NOW)
    assert [(remove.id, remove.why) for remove in answer.remove] == [("old", "begun and never finished")]


def test_children_go_first_also_where_the_chain_is_broken_below_them() -> None:
    """Equal times and a missing full snapshot: the order is by what stands on what, not by name."""
    parents = {"s2": "gone", "s10": "s2", "s1": "s10"}
    held = [
        Held(
            id=name, kind="incremental", parent=parent, created_at=NOW, stores=(), providers=(), removing=True
        )
        for name, parent in parents.items()
    ]
    removed = [remove.id for remove in decided(held, Policy(hourly=0, daily=0, weekly=0, monthly=0)).remove]
    assert removed == ["s1", "s10", "s2"]
