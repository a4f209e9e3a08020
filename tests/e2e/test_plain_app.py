"""An app that is not ours (class G3) in a planned move and a kill: no request fails, streams are counted, the scheduled
posts are published once each. Without the hold the same load notices the same move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import LocalFleet
from tests.e2e.plain import Scheduled, plain_fleet, without_hold

pytestmark = [pytest.mark.e2e, pytest.mark.long]
SECONDS = 16.0


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    one = LocalFleet(tmp_path_factory.mktemp("plain"), block=47)
    plain_fleet(one)
    try:
        one.deploy()
        one.wait_protected()
        yield one
        one.run("destroy", "--yes")
    finally:
        one.end()


def other(one: LocalFleet) -> str:
    primary: str = one.status()["record"]["primary"].split("_")[0]
    return "beta" if primary == "alpha" else "alpha"


def nothing_lost(report: dict[str, Any]) -> None:
    assert report["ledger"]["acknowledged_writes"] > 200, report["load"]
    assert (report["ledger"]["lost"], report["ledger"]["duplicated"]) == (0, 0)
    assert report["writable_at_once"] == 1


@pytest.mark.timeout(240)
def test_a_planned_move_fails_no_request_and_publishes_once(plain: LocalFleet) -> None:
    scheduled = Scheduled(plain)
    scheduled.count_from_now()
    scheduled.schedule(first_s=4.0, every_s=0.5, count=30)
    report = plain.drill("switchover", other(plain), rate=60, seconds=SECONDS)
    nothing_lost(report)
    assert (report["load"]["first_attempt_failed"], report["load"]["errors"]) == (0, 0)
    assert "requests within the budget" in report["promise"]
    streams, uploads = report["streams"], report["uploads"]
    assert (streams["held"], streams["open_at_end"]) == (4, 4)
    assert streams["ended"] >= 4, "they end with the move, and that is counted"
    assert uploads["failed"] == 0, uploads
    assert uploads["sent"] >= 6
    assert scheduled.times_published() == [1] * 30


@pytest.mark.timeout(240)
def test_without_the_hold_requests_fail(plain: LocalFleet) -> None:
    """Negative control: the same app and load in class G4."""
    text = plain.file.read_text()
    try:
        plain.file.write_text(without_hold(text))
        plain.deploy()
        plain.wait_protected()
        report = plain.drill("switchover", other(plain), rate=60, seconds=SECONDS)
        assert report["ledger"]["lost"] == 0
        assert report["load"]["first_attempt_failed"] > 5, report["load"]
    finally:
        plain.file.write_text(text)
        plain.deploy()
        plain.wait_protected()
