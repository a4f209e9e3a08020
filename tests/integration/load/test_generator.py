"""The generator's own process against an app that stalls, fails and drops connections when told to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover.errors import Unreachable
from failover.load.check import compare
from failover.load.process import LoadProcess
from failover.load.timeline import acknowledged_instants, load_figures, write_pause
from failover.model.ledger import RequestOutcome
from tests.integration.load.driving import between, boottime_s, driving, ledger_of, request
from tests.integration.load.parts import App, Dns, workload

HOST = "127.84.0.10"
DNS_HOST = "127.84.0.2"


@pytest.fixture(scope="module")
def dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dns]:
    with Dns(tmp_path_factory.mktemp("dns"), DNS_HOST, addresses=[HOST], ttl_s=2) as server:
        yield server


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App(tmp_path, HOST) as running:
        yield running


def test_a_healthy_app_loses_nothing_and_every_write_is_in_the_ledger(tmp_path: Path, app: App, dns: Dns) -> None:
    with driving(tmp_path, dns.server, duration_s=2.0) as load:
        time.sleep(3.0)
        finished = load.stop()
    ledger = ledger_of(tmp_path)
    assert not ledger.cut
    assert finished.reason == "duration"
    assert finished.acknowledged_writes == len(ledger.writes) == len(app.rows())
    found = compare(ledger, app.rows())
    assert (found.lost, found.duplicated, found.unknown, found.unacknowledged_but_present) == ((), (), (), ())
    assert {(write.served_by, write.epoch, write.address) for write in ledger.writes} == {("alpha", 4, HOST)}
    assert 70 < len(ledger.writes) < 180
    assert 30 < len(ledger.reads) < 100
    assert all(read.acknowledged for read in ledger.reads)


def test_arrivals_do_not_wait_and_latency_counts_from_when_due(tmp_path: Path, app: App, dns: Dns) -> None:
    with driving(tmp_path, dns.server, attempt_s=3.0) as load:
        app.behave("stall")
        stalled_s = boottime_s()
        time.sleep(1.0)
        going_s = boottime_s()
        app.behave("ok")
        resumed_s = boottime_s()
        time.sleep(0.5)
        load.stop()
    during = between(ledger_of(tmp_path).requests, stalled_s, going_s)
    assert len(during) > 0.6 * 90 * (going_s - stalled_s)
    assert all(one.acknowledged and not one.failures for one in during)
    for one in during:
        # Each waits for what was left of the stall when it was due, however many were in front of it.
        assert one.ended_s >= going_s
        assert one.latency_ms >= (going_s - one.scheduled_s) * 1000 - 1
    assert max(one.sent_s - one.scheduled_s for one in during) < (going_s - stalled_s) / 2
    ledger = ledger_of(tmp_path)
    pause = write_pause(acknowledged_instants(ledger.writes), from_s=stalled_s - 0.2, until_s=resumed_s + 0.3)
    assert 900 < pause.longest < (resumed_s - stalled_s) * 1000 + 500


def test_failures_are_retried_with_the_same_id_and_every_attempt_is_kept(tmp_path: Path, app: App, dns: Dns) -> None:
    with driving(tmp_path, dns.server) as load:
        app.behave("fail")
        time.sleep(0.5)
        app.behave("ok")
        time.sleep(0.5)
        load.stop()
    ledger = ledger_of(tmp_path)
    figures = load_figures(ledger.requests, offered_per_s=90)
    assert figures.errors == 0
    assert figures.first_attempt_failed > 10
    assert figures.retried == sum(len(one.failures) for one in ledger.requests) >= figures.first_attempt_failed
    assert {failure.status for one in ledger.requests for failure in one.failures} == {500}
    found = compare(ledger, app.rows())
    assert (found.lost, found.duplicated, found.unknown) == ((), (), ())


def test_an_app_that_ignores_the_key_is_caught_storing_twice(tmp_path: Path, app: App, dns: Dns) -> None:
    with driving(tmp_path, dns.server) as load:
        app.behave("twice")
        time.sleep(0.5)
        app.behave("ok")
        time.sleep(0.3)
        load.stop()
    ledger = ledger_of(tmp_path)
    found = compare(ledger, app.rows())
    retried = {write.id for write in ledger.writes if sum(one.status == 500 for one in write.failures) > 1}
    assert retried
    assert retried <= set(found.duplicated)
    assert found.lost == ()


def test_without_idempotency_a_write_is_sent_once_and_what_is_unclear_is_counted_apart(
    tmp_path: Path, app: App, dns: Dns
) -> None:
    with driving(tmp_path, dns.server, workload=workload(idempotent=False)) as load:
        app.behave("drop")
        time.sleep(0.5)
        app.behave("ok")
        time.sleep(0.2)
        load.stop()
    ledger = ledger_of(tmp_path)
    ambiguous = {write.id for write in ledger.writes if write.outcome is RequestOutcome.AMBIGUOUS}
    assert len(ambiguous) > 5
    assert all(write.attempts == 1 for write in ledger.writes)
    assert load_figures(ledger.requests, offered_per_s=90).ambiguous == len(ambiguous)
    found = compare(ledger, app.rows())
    assert set(found.unacknowledged_but_present) == ambiguous
    assert (found.lost, found.duplicated) == ((), ())


def test_with_retry_off_every_first_failure_is_an_error(tmp_path: Path, app: App, dns: Dns) -> None:
    with driving(tmp_path, dns.server, retry=False) as load:
        app.behave("refuse")
        time.sleep(0.4)
        app.behave("ok")
        time.sleep(0.1)
        load.stop()
    figures = load_figures(ledger_of(tmp_path).requests, offered_per_s=90)
    assert figures.errors == figures.first_attempt_failed > 5
    assert figures.retried == 0


def test_an_answer_that_is_final_is_not_retried_and_is_no_acknowledgement(tmp_path: Path, app: App, dns: Dns) -> None:
    with driving(tmp_path, dns.server) as load:
        app.behave("deny")
        time.sleep(0.4)
        load.stop()
    denied = [write for write in ledger_of(tmp_path).writes if write.status == 401]
    assert len(denied) > 5
    assert {(write.outcome, write.attempts) for write in denied} == {(RequestOutcome.AMBIGUOUS, 1)}


def test_a_log_in_that_is_refused_is_said_at_once_and_no_ledger_is_begun(tmp_path: Path, app: App, dns: Dns) -> None:
    app.behave("deny")
    refused = pytest.raises(Unreachable, match="log-in was not accepted: status 401")
    with LoadProcess(request(tmp_path, (dns.server,)), folder=tmp_path) as load, refused:
        load.wait_ready(deadline_s=60)
    assert not list(tmp_path.glob("*.zst"))


def test_an_app_that_never_comes_back_gives_up_within_the_budget(tmp_path: Path, app: App, dns: Dns) -> None:
    with driving(tmp_path, dns.server, budget_s=1.0) as load:
        app.kill()
        killed_s = boottime_s()
        time.sleep(0.5)
        finished = load.stop()
    assert finished.errors > 10
    assert finished.at_s - killed_s < 15
    late = [write for write in ledger_of(tmp_path).writes if write.scheduled_s > killed_s + 0.1]
    assert {write.outcome for write in late} == {RequestOutcome.FAILED}
