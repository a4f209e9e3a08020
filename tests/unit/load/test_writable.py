"""Split brain, from probes and from the ledger: seen when it was, not seen when it was not."""

from __future__ import annotations

from failover.load.writable import most_overlapping, overtaken, writable_at_once, writable_stretches
from failover.model.ledger import WritableSample
from tests.unit.load.lines import done


def sample(site: str, at: float, *, writable: bool = True, took: float = 0.01) -> WritableSample:
    return WritableSample(site=site, asked_s=at, answered_s=at + took, writable=writable)


def test_a_clean_handover_is_one_at_a_time() -> None:
    samples = [
        sample("alpha", 1.0), sample("beta", 1.0, writable=False),
        sample("alpha", 2.0), sample("beta", 2.0, writable=False),
        sample("alpha", 3.0, writable=False), sample("beta", 3.0),
    ]  # fmt: skip
    assert writable_at_once(samples, []) == 1


def test_two_sites_between_the_same_two_probes_count_as_two() -> None:
    samples = [sample("alpha", 1.0), sample("alpha", 3.0), sample("beta", 2.0)]
    assert writable_at_once(samples, []) == 2


def test_a_site_that_was_seen_not_writable_ends_its_stretch() -> None:
    samples = [sample("a", 1.0), sample("a", 2.0, writable=False), sample("a", 3.0)]
    assert writable_stretches(samples) == [(1.0, 1.01, "a"), (3.0, 3.01, "a")]


def test_nobody_writable_is_zero_and_no_evidence_is_none() -> None:
    assert writable_at_once([sample("a", 1.0, writable=False)], []) is None
    assert most_overlapping([]) == 0
    assert writable_at_once([], [done("a")]) is None


def test_an_older_epoch_that_acknowledges_later_is_split_brain() -> None:
    new = done("new", at=10.0, took=0.1, site="beta", epoch=5)
    old = done("old", at=10.2, took=0.1, site="alpha", epoch=4)
    assert overtaken([old, new]) == (new, old)
    assert writable_at_once([sample("alpha", 1.0)], [old, new]) == 2


def test_a_write_that_waited_at_the_gate_over_a_move_is_none() -> None:
    waited = done("waited", at=9.0, took=2.0, site="beta", epoch=5)
    last_old = done("old", at=9.9, took=0.1, site="alpha", epoch=4)
    in_flight = done("sent before the other's answer", at=10.9, took=0.3, site="alpha", epoch=4)
    assert overtaken([waited, last_old, in_flight]) is None
    assert writable_at_once([], [waited, last_old]) == 1


def test_a_failback_is_no_split_brain() -> None:
    sites = [("a", 1), ("b", 2), ("a", 3)]
    writes = [done(f"w{epoch}", at=float(epoch), site=site, epoch=epoch) for site, epoch in sites]
    assert overtaken(writes) is None
