"""Which voter is asked first: the nearest that is well, whoever answered last."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from failover.adapters.record_etcd_merit import Merit

OWN, WITNESS, OTHER = "own", "witness", "other"
ALL = (OWN, WITNESS, OTHER)


def merit() -> Merit:
    return Merit(ALL, silent_s=0.3)


def test_the_nearest_is_asked_again_as_soon_as_it_is_well() -> None:
    """Negative: with "who answered last goes first", the other site's voter would still be asked, dead or alive."""
    one = merit()
    one.failed(OWN, 10.0)
    one.failed(WITNESS, 10.0)
    one.asked(OTHER, 10.1)
    one.answered(OTHER, 10.2)
    assert one.order(10.5)[0] == OTHER
    assert one.order(11.1) == [OWN, WITNESS, OTHER]


def test_one_that_keeps_failing_is_tried_less_and_less_often() -> None:
    one = merit()
    now, waits = 10.0, []
    for _ in range(6):
        one.failed(OWN, now)
        began = now
        while one.order(now)[0] != OWN:
            now += 0.125
        waits.append(now - began)
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    one.answered(OWN, now)
    one.failed(OWN, now)
    assert one.order(now + 0.9)[0] == WITNESS
    assert one.order(now + 1.0)[0] == OWN


def test_calls_that_fail_together_count_once() -> None:
    one = merit()
    for _ in range(20):
        one.failed(OWN, 10.0)
    assert one.order(11.0)[0] == OWN


def test_one_that_is_silent_too_long_waits_behind() -> None:
    one = merit()
    one.asked(OWN, 10.0)
    one.asked(OWN, 10.25)
    assert one.order(10.29)[0] == OWN
    assert one.order(10.31) == [WITNESS, OTHER, OWN]
    one.answered(OWN, 10.4)
    assert one.order(10.4)[0] == OWN
    assert one.answered_within(OWN, 0.5, 10.9)
    assert not one.answered_within(OWN, 0.5, 10.95)


_events = st.lists(
    st.tuples(st.sampled_from(["asked", "answered", "failed"]), st.sampled_from(ALL), st.floats(0.0, 3.0)), max_size=40
)


@given(_events)
def test_every_voter_stays_in_the_order_and_trouble_is_forgotten(events: list[tuple[str, str, float]]) -> None:
    one, now = merit(), 0.0
    for what, endpoint, later in events:
        now += later
        getattr(one, what)(endpoint, now)
        order = one.order(now)
        assert sorted(order) == sorted(ALL)
        if what == "answered":
            before = order[: order.index(endpoint)]
            assert all(ALL.index(other) < ALL.index(endpoint) for other in before), "only nearer ones come before it"
    one.order(now + 1.0)  # who is silent now is put behind now
    assert one.order(now + 10.0) == list(ALL)
