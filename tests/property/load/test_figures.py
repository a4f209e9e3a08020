"""Pauses, percentiles, buckets and the checker against brute force."""

from __future__ import annotations

import bisect
import itertools
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from failover.load.check import compare
from failover.load.figures import thinned
from failover.load.timeline import per_bucket, percentile, write_pause
from failover.load.writable import most_overlapping, overtaken
from failover.model.ledger import RequestDone
from failover.model.report import LatencyPoint
from tests.unit.load.lines import ACK, AMBIGUOUS, FAILED, done, ledger

instants = st.lists(st.integers(0, 10_000).map(lambda milli: milli / 1000), max_size=60)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 1))
def test_percentile_is_the_smallest_value_that_covers_the_share(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    assert bisect.bisect_right(ordered, found) >= share * len(ordered) - 1e-9
    below = bisect.bisect_left(ordered, found)
    assert below == 0 or below < share * len(ordered) + 1e-9


@given(instants, st.integers(1, 400))
def test_no_instant_lies_inside_the_longest_pause(raw: list[float], threshold_ms: int) -> None:
    acknowledged = sorted(raw)
    pause = write_pause(acknowledged, from_s=0.0, until_s=10.0, threshold_ms=float(threshold_ms))
    points = [0.0, *acknowledged, 10.0]
    gaps = [(later - earlier) * 1000 for earlier, later in itertools.pairwise(points)]
    assert abs(pause.longest - max(gaps)) <= 0.05 + 1e-6
    assert pause.p99 <= pause.longest
    assert pause.count == sum(gap >= threshold_ms for gap in gaps)
    assert abs(sum(gaps) - 10_000) < 1e-3


@given(instants, st.sampled_from([0.1, 0.25, 1.0]))
def test_buckets_hold_everything_inside(raw: list[float], bucket_s: float) -> None:
    counts = per_bucket(raw, from_s=2.0, until_s=8.0, bucket_s=bucket_s)
    assert sum(counts) == sum(2.0 <= instant < 8.0 for instant in raw)
    assert len(counts) == round(6.0 / bucket_s)


ids = st.sampled_from([f"w{number}" for number in range(12)])
outcomes = st.sampled_from([ACK, FAILED, AMBIGUOUS])


@given(st.dictionaries(ids, outcomes), st.sets(ids), st.lists(st.one_of(ids, st.just("stranger")), max_size=30))
def test_the_checker_agrees_with_brute_force(results: dict[str, str], unfinished: set[str], rows: list[str]) -> None:
    writes = [done(id_, outcome=outcome) for id_, outcome in results.items()]  # type: ignore[arg-type]
    found = compare(ledger(*writes, sent=tuple(unfinished)), rows)
    everything = {f"w{number}" for number in range(12)} | {"stranger"}
    for id_ in everything:
        acknowledged = results.get(id_) == ACK
        sent = id_ in results or id_ in unfinished
        copies = rows.count(id_)
        assert (id_ in found.lost) == (acknowledged and copies == 0)
        assert (id_ in found.duplicated) == (copies > 1)
        assert (id_ in found.unacknowledged_but_present) == (sent and not acknowledged and copies > 0)
        assert (id_ in found.unknown) == (not sent and copies > 0)
    assert found.acknowledged == Counter(results.values())[ACK]


stretch = st.tuples(st.integers(0, 20), st.integers(0, 6), st.sampled_from("abc")).map(
    lambda drawn: (float(drawn[0]), float(drawn[0] + drawn[1]), drawn[2])
)


@given(st.lists(stretch, max_size=12))
def test_overlap_agrees_with_looking_at_every_instant(stretches: list[tuple[float, float, str]]) -> None:
    open_at = ({site for begun, until, site in stretches if begun <= instant <= until} for instant in range(30))
    assert most_overlapping(stretches) == max(map(len, open_at))


drawn_writes = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 5), st.sampled_from(["a", "b"]), st.integers(1, 4)), max_size=12
)


def as_write(number: int, drawn: tuple[int, int, str, int]) -> RequestDone:
    at, took, site, epoch = drawn
    return done(f"w{number}", at=float(at), took=float(took), site=site, epoch=epoch)


@given(drawn_writes)
def test_two_primaries_are_proven_when_the_newest_epoch_proves_them(raw: list[tuple[int, int, str, int]]) -> None:
    writes = [as_write(number, drawn) for number, drawn in enumerate(raw)]
    proof = overtaken(writes)
    if proof is not None:
        newer, older = proof
        assert newer.epoch > older.epoch
        assert newer.served_by != older.served_by
        assert newer.ended_s < older.decided_s
    # One site for each epoch, as the record has it: then nothing may be missed.
    lawful = [write for write in writes if write.served_by == "ab"[write.epoch % 2]]
    pairs = [
        (newer, older)
        for newer in lawful
        for older in lawful
        if newer.epoch == older.epoch + 1 and newer.ended_s < older.decided_s
    ]
    if pairs and max(write.epoch for write in lawful) == pairs[0][0].epoch:
        assert overtaken(lawful) is not None


points = st.builds(
    LatencyPoint,
    at_s=st.floats(0, 60), latency_ms=st.floats(0.1, 1e4), write=st.booleans(), acknowledged=st.booleans(),
)  # fmt: skip


@given(st.lists(points, max_size=80), st.integers(2, 40))
def test_thinning_never_drops_the_slowest(raw: list[LatencyPoint], most: int) -> None:
    kept = thinned(raw, most=most)
    assert len(kept) == min(len(raw), most)
    if raw:
        failed = [point for point in raw if not point.acknowledged]
        pool = failed or raw
        assert max(point.latency_ms for point in pool) == max(
            point.latency_ms for point in kept if point.acknowledged is bool(not failed)
        )
