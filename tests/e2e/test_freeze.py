"""A provider pauses a site: the fleet goes on, and the site that wakes up serves nothing of the past."""

from __future__ import annotations

import pytest

from tests.e2e.harness import LocalFleet
from tests.e2e.test_drills import other, sound

pytestmark = pytest.mark.e2e


@pytest.mark.timeout(240)
def test_a_frozen_primary_is_replaced_and_wakes_without_serving_the_past(protected: LocalFleet) -> None:
    primary = protected.status()["record"]["primary"].split("_")[0]
    frozen = protected.drill("freeze", primary, seconds=8.0)
    sound(frozen)
    assert frozen["primary"] == {"before": primary, "after": other(primary)}
    assert frozen["recovery_time_s"] is not None
    woken = protected.drill("return", primary, rate=60, seconds=6.0)
    sound(woken)
    old = woken["old_side"]
    assert old["asked"] > 100, old
    assert (old["stale_reads"], old["writes_alone"]) == (0, 0), old["log"]
    assert old["fresh_reads"] > 0, "a side that answers nothing at all shows nothing"
    assert woken["reprotected_s"] is not None


@pytest.mark.timeout(240)
def test_a_dead_standby_stalls_writes_for_a_moment_only(protected: LocalFleet) -> None:
    seen = protected.status()["record"]
    primary, standby = seen["primary"].split("_")[0], seen["sync"][0].split("_")[0]
    report = protected.drill("kill", standby, seconds=7.0)
    sound(report)
    assert report["primary"] == {"before": primary, "after": primary}
    assert report["epoch"]["after"] == report["epoch"]["before"]
    assert report["detection_s"] is not None, "it stayed in sync"
    assert report["unprotected_s"] > 0
    alone = protected.status()
    assert alone["record"]["sync"] == []
    assert alone["unprotected_s"] > 0
    back = protected.drill("return", standby, seconds=4.0)
    sound(back)
    assert back["reprotected_s"] is not None
