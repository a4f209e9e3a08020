"""Figures over a ledger: exact small cases, above all the ones that could flatter."""

from __future__ import annotations

import pytest

from failover.load.figures import series, thinned
from failover.load.timeline import (
    acknowledged_instants,
    first_acknowledged,
    load_figures,
    longest_gap,
    per_bucket,
    percentile,
    recovery_s,
    write_pause,
)
from failover.model.ledger import RequestKind
from failover.model.report import LatencyPoint, Mark
from tests.unit.load.lines import ACK, AMBIGUOUS, FAILED, done, ledger


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.1, 1.0), (0.11, 2.0), (0.5, 5.0), (0.99, 10.0), (1.0, 10.0)]
)
def test_percentile_is_a_value_that_occurred(share: float, value: float) -> None:
    assert percentile([float(number) for number in range(1, 11)], share) == value


def test_percentile_of_nothing_is_zero() -> None:
    assert percentile([], 0.99) == 0.0


def test_a_pause_that_never_ends_counts_to_the_end() -> None:
    pause = write_pause([1.0, 1.01, 1.02], from_s=1.0, until_s=11.0)
    assert pause.longest == pytest.approx(9980.0)
    assert pause.count == 1


def test_no_acknowledged_write_at_all_is_one_pause() -> None:
    pause = write_pause([], from_s=0.0, until_s=4.0)
    assert (pause.longest, pause.p99, pause.count) == (4000.0, 4000.0, 1)


def test_a_pause_of_exactly_the_threshold_is_counted() -> None:
    assert write_pause([0.0, 0.5, 0.75], from_s=0.0, until_s=0.75, threshold_ms=250.0).count == 2


def test_the_longest_gap_says_where() -> None:
    assert longest_gap([1.0, 1.1, 3.0, 3.1], from_s=0.9, until_s=3.2) == (1.1, 3.0)


def test_only_acknowledged_writes_end_a_pause() -> None:
    writes = [done("a", at=2.0), done("b", at=1.0, outcome=AMBIGUOUS), done("c", at=0.5)]
    assert acknowledged_instants(writes) == pytest.approx([0.51, 2.01])


def test_an_answer_still_on_its_way_from_the_dead_side_is_no_recovery() -> None:
    writes = [
        done("sent before, answered after", at=9.99, took=0.03),
        done("sent while the fault spread", at=10.01, took=0.01),
        done("failed", at=10.2, outcome=FAILED),
        done("first after", at=10.1, decided=11.0, took=1.15),
        done("second after", at=11.2, took=0.2),
    ]
    assert recovery_s(writes, fault_s=10.0, complete_s=10.05) == pytest.approx(1.25)
    assert recovery_s(writes[:3], fault_s=10.0, complete_s=10.05) is None


def test_recovery_can_leave_out_the_dying_side() -> None:
    writes = [done("a", at=10.1, site="alpha"), done("b", at=11.0, site="beta")]
    assert first_acknowledged(writes, sent_from_s=10.0, not_served_by="alpha") == pytest.approx(11.01)


def test_load_figures_keep_errors_retries_and_first_failures_apart() -> None:
    requests = [
        done("plain"),
        done("retried", failures=2, took=0.4),
        done("given up", failures=3, outcome=FAILED, took=15.0),
        done("perhaps", failures=1, outcome=AMBIGUOUS),
        done("read", failures=1, outcome=AMBIGUOUS, kind=RequestKind.READ),
    ]
    figures = load_figures(requests, offered_per_s=300.0)
    assert (figures.requests, figures.acknowledged, figures.errors) == (5, 2, 3)
    assert figures.retried == 2 + 2
    assert figures.first_attempt_failed == 4
    assert figures.ambiguous == 1
    assert figures.latency_ms.max == pytest.approx(15_000)


def test_buckets_begin_at_the_start_and_leave_out_what_lies_outside() -> None:
    counts = per_bucket([0.99, 1.0, 1.05, 1.1, 1.29, 1.3], from_s=1.0, until_s=1.3, bucket_s=0.1)
    assert len(counts) == 3
    assert sum(counts) == 4
    assert counts[0] == 2


def test_thinning_keeps_every_failure_and_the_slowest() -> None:
    points = [
        LatencyPoint(at_s=float(number), latency_ms=1.0 + number % 7, write=True, acknowledged=True)
        for number in range(1000)
    ]
    odd = [
        LatencyPoint(at_s=500.5, latency_ms=0.2, write=True, acknowledged=False),
        LatencyPoint(at_s=1.5, latency_ms=9000.0, write=False, acknowledged=True),
    ]
    kept = thinned(points + odd, most=100)
    assert len(kept) == 100
    assert set(odd) <= set(kept)
    assert [point.at_s for point in kept] == sorted(point.at_s for point in kept)


def test_series_are_relative_to_the_report_and_count_each_failed_attempt() -> None:
    found = series(
        ledger(done("a", at=100.02), done("b", at=100.16, failures=2, outcome=ACK)),
        from_s=100.0, until_s=100.3, marks=[Mark(name="fault", at_s=0.1)],
    )  # fmt: skip
    assert found.acknowledged_writes == (1, 1, 0)
    assert sum(found.failed_attempts) == 2
    assert [point.at_s for point in found.latency] == pytest.approx([0.02, 0.16])
