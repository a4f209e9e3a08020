"""Negative control of the asking in ``partition`` and ``egress``: a cut-off primary without its fence for reads serves
the past, and the drill finds it; with the fence, asked the same way under the same load, it serves nothing of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.harness import LocalFleet
from tests.e2e.lawless import without_read_fence
from tests.e2e.test_drills import other, sound

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root"),
]

# Few writes: those that reach the old primary wait there and fill the app's pool.
_RATE = 24


@pytest.fixture
def lawless(isolated: LocalFleet) -> Iterator[tuple[LocalFleet, str]]:
    """The fleet, and its primary, whose gate believes for ever what it once knew."""
    primary = isolated.wait_protected()["record"]["primary"].split("_")[0]
    without_read_fence(isolated, primary)
    yield isolated, primary
    isolated.deploy()


def told(report: dict[str, Any], primary: str) -> dict[str, Any]:
    """The old side's part, of a drill in which another side took over and marks were made there."""
    assert report["primary"] == {"before": primary, "after": other(primary)}, report["remarks"]
    old: dict[str, Any] = report["old_side"]
    assert old["marks_elsewhere"] > 0, old
    assert old["asked"] > 200, old
    return old


def cut(fleet: LocalFleet, kind: str, primary: str) -> dict[str, Any]:
    return fleet.drill(kind, primary, rate=_RATE, seconds=14.0, seed=2)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["partition", "egress"])
def test_without_its_fence_a_cut_off_primary_is_caught(lawless: tuple[LocalFleet, str], kind: str) -> None:
    fleet, primary = lawless
    report = cut(fleet, kind, primary)
    old = told(report, primary)
    assert old["stale_reads"] > 0, old
    assert old["believed_for_s"] > report["recovery_time_s"], old
    assert not report["held"]
    if kind == "egress":
        fleet.drill("return", primary, rate=30, seconds=5.0)
        fleet.wait_protected()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["partition", "egress"])
def test_with_its_fence_it_serves_nothing_of_the_past(isolated: LocalFleet, kind: str) -> None:
    primary = isolated.wait_protected()["record"]["primary"].split("_")[0]
    report = cut(isolated, kind, primary)
    old = told(report, primary)
    sound({**report, "ledger": {**report["ledger"], "acknowledged_writes": 201}})
    assert (old["stale_reads"], old["writes_alone"]) == (0, 0), old["log"]
    assert old["believed_for_s"] < report["recovery_time_s"], old
    if kind == "egress":
        isolated.drill("return", primary, rate=30, seconds=5.0)
        isolated.wait_protected()
