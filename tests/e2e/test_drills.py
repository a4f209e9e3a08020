"""The main job on real parts: move under load, lose a whole provider under load, take it back; nothing is lost."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.harness import LocalFleet

pytestmark = pytest.mark.e2e


def other(site: str) -> str:
    return "beta" if site == "alpha" else "alpha"


def sound(report: dict[str, Any]) -> None:
    assert report["ledger"]["acknowledged_writes"] > 200, report["load"]
    assert (report["ledger"]["lost"], report["ledger"]["duplicated"], report["ledger"]["unknown"]) == (0, 0, 0)
    assert report["writable_at_once"] == 1


@pytest.mark.timeout(240)
def test_planned_switchover_there_and_back(protected: LocalFleet) -> None:
    for _ in range(2):
        primary = protected.status()["record"]["primary"].split("_")[0]
        report = protected.drill("switchover", other(primary))
        sound(report)
        assert report["load"]["first_attempt_failed"] == 0
        assert report["primary"] == {"before": primary, "after": other(primary)}
        assert report["epoch"]["after"] == report["epoch"]["before"] + 1
        assert report["dns"]["servers_correct"] == report["dns"]["servers_alive"] == 2
        assert (protected.state / "reports" / report["id"] / "report.html").stat().st_size > 10_000


@pytest.mark.timeout(240)
def test_kill_of_the_primarys_provider_and_return(protected: LocalFleet) -> None:
    primary = protected.status()["record"]["primary"].split("_")[0]
    report = protected.drill("kill", primary, seconds=10.0)
    sound(report)
    assert report["primary"]["after"] == other(primary)
    assert report["recovery_time_s"] is not None
    assert report["dead_side"]["calls"] == 0, report["dead_side"]["log"]
    assert report["dns"]["servers_correct"] == report["dns"]["servers_alive"] == 1
    back = protected.drill("return", primary, seconds=10.0)
    sound(back)
    assert back["reprotected_s"] is not None
    sync = protected.wait_protected()["record"]["sync"]
    assert [member.split("_")[0] for member in sync] == [primary]
