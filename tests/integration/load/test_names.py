"""The generator as a client of the app's public name: real PowerDNS servers, several addresses, some of them dead."""

from __future__ import annotations

import time
from pathlib import Path

from failover.load.timeline import load_figures
from tests.integration.load.driving import between, boottime_s, driving, ledger_of
from tests.integration.load.parts import App, Dns

ALPHA, BETA, NOBODY = "127.84.0.11", "127.84.0.12", "127.84.0.13"
DNS_ONE, DNS_TWO = "127.84.0.3", "127.84.0.4"


def test_a_changed_address_is_followed_when_the_ttl_is_over_and_not_before(tmp_path: Path) -> None:
    with (
        App(tmp_path, ALPHA) as alpha,
        App(tmp_path, BETA, name="beta") as beta,
        Dns(tmp_path, DNS_ONE, addresses=[ALPHA], ttl_s=1) as dns,
        driving(tmp_path, dns.server) as load,
    ):
        before_s = boottime_s()
        dns.change([BETA])
        changed_s = boottime_s()
        time.sleep(3.0)
        load.stop()
        assert len(alpha.rows()) + len(beta.rows()) == len(ledger_of(tmp_path).writes)
    ledger = ledger_of(tmp_path)
    # Due just before the TTL ran out, a request may still leave just after it.
    assert {one.address for one in between(ledger.requests, changed_s + 2.0, changed_s + 9)} == {BETA}
    assert {one.address for one in between(ledger.requests, 0, before_s)} == {ALPHA}
    assert load_figures(ledger.requests, offered_per_s=90).first_attempt_failed == 0


def test_a_dead_address_beside_a_live_one_costs_no_error_and_hardly_any_time(tmp_path: Path) -> None:
    with (
        App(tmp_path, ALPHA),
        Dns(tmp_path, DNS_ONE, addresses=[ALPHA, NOBODY], ttl_s=1) as dns,
        driving(tmp_path, dns.server) as load,
    ):
        time.sleep(1.0)
        load.stop()
    figures = load_figures(ledger_of(tmp_path).requests, offered_per_s=90)
    assert (figures.errors, figures.first_attempt_failed) == (0, 0)


def test_a_killed_address_is_left_for_the_others_at_once(tmp_path: Path) -> None:
    with (
        App(tmp_path, ALPHA) as alpha,
        App(tmp_path, BETA, name="beta"),
        Dns(tmp_path, DNS_ONE, addresses=[ALPHA, BETA], ttl_s=30) as dns,
        driving(tmp_path, dns.server) as load,
    ):
        alpha.kill()
        killed_s = boottime_s()
        time.sleep(2.0)
        load.stop()
    ledger = ledger_of(tmp_path)
    assert {one.address for one in ledger.writes} == {ALPHA, BETA}
    after = between(ledger.requests, killed_s + 0.7, killed_s + 9)
    assert {one.address for one in after} == {BETA}
    assert load_figures(ledger.requests, offered_per_s=90).errors == 0
    assert load_figures(after, offered_per_s=90).first_attempt_failed == 0


def test_a_frozen_address_takes_the_connection_and_is_left_after_the_attempt(tmp_path: Path) -> None:
    with (
        App(tmp_path, ALPHA) as alpha,
        App(tmp_path, BETA, name="beta"),
        Dns(tmp_path, DNS_ONE, addresses=[ALPHA, BETA], ttl_s=30) as dns,
        driving(tmp_path, dns.server, attempt_s=0.6) as load,
    ):
        alpha.freeze()
        frozen_s = boottime_s()
        time.sleep(3.0)
        load.stop()
        alpha.thaw()
    ledger = ledger_of(tmp_path)
    figures = load_figures(ledger.requests, offered_per_s=90)
    assert figures.errors == 0
    assert figures.first_attempt_failed > 5
    whys = {failure.why for one in ledger.requests for failure in one.failures}
    assert whys == {"timeout"}
    later = between(ledger.requests, frozen_s + 2.0, frozen_s + 9)
    assert sum(one.address == BETA for one in later) == len(later) > 10


def test_a_silent_dns_server_costs_its_timeout_once_and_the_other_is_asked(tmp_path: Path) -> None:
    with (
        App(tmp_path, ALPHA),
        Dns(tmp_path, DNS_ONE, addresses=[ALPHA], ttl_s=1) as one,
        Dns(tmp_path, DNS_TWO, addresses=[ALPHA], ttl_s=1) as two,
        driving(tmp_path, one.server, two.server) as load,
    ):
        one.freeze()
        frozen_s = boottime_s()
        time.sleep(3.5)
        load.stop()
    ledger = ledger_of(tmp_path)
    after = between(ledger.requests, frozen_s, frozen_s + 9)
    assert load_figures(after, offered_per_s=90).first_attempt_failed == 0
    waited = [request for request in after if request.latency_ms > 250]
    assert 1 <= len(waited) < 60
    # All of them at the one expiry that met the silent server; from then on the other is asked first.
    assert waited[-1].scheduled_s - waited[0].scheduled_s < 1.5


def test_past_its_ttl_no_answer_is_used_any_more(tmp_path: Path) -> None:
    with (
        App(tmp_path, ALPHA),
        Dns(tmp_path, DNS_ONE, addresses=[ALPHA], ttl_s=1) as dns,
        driving(tmp_path, dns.server, retry=False) as load,
    ):
        dns.kill()
        killed_s = boottime_s()
        time.sleep(3.0)
        load.stop()
    late = between(ledger_of(tmp_path).requests, killed_s + 2.0, killed_s + 9)
    assert len(late) > 10
    assert {failure.why for one in late for failure in one.failures} == {"resolve"}
    assert not any(one.acknowledged for one in late)
