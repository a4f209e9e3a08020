"""Half of something is alive: an account that refuses, a disk that takes no byte, a mover that falls asleep."""

from __future__ import annotations

import pytest

from failover.config.fleet import load_fleet
from failover.model.report import Measure
from failover.operations.drill_fault import LocalProvider
from infra.local.plugin.account import Suspended, require_open
from tests.e2e.harness import LocalFleet
from tests.e2e.test_drills import other, sound

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def primary_of(fleet: LocalFleet) -> str:
    name: str = fleet.status()["record"]["primary"].split("_")[0]
    return name


@pytest.mark.timeout(240)
def test_the_way_out_of_a_suspended_account_needs_nothing_of_it(protected: LocalFleet) -> None:
    primary = primary_of(protected)
    report = protected.drill("refuse", primary, seconds=8.0)
    sound(report)
    assert report["primary"] == {"before": primary, "after": other(primary)}
    assert report["load"]["first_attempt_failed"] == 0
    assert report["dead_side"]["calls"] == 0, report["dead_side"]["log"]
    with pytest.raises(Suspended):
        require_open(protected.host_dir(primary), "read")
    sound(protected.drill("return", primary, seconds=4.0))
    require_open(protected.host_dir(primary), "read")


@pytest.mark.timeout(240)
def test_a_primary_whose_disk_is_full_is_replaced(protected: LocalFleet) -> None:
    primary = primary_of(protected)
    report = protected.drill("disk", primary, seconds=10.0)
    sound(report)
    assert report["primary"] == {"before": primary, "after": other(primary)}
    back = protected.drill("return", primary, seconds=6.0)
    sound(back)
    assert back["reprotected_s"] is not None, back["remarks"]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("role", ["standby", "primary"])
def test_a_disk_that_went_back_in_time_costs_no_write(protected: LocalFleet, role: str) -> None:
    primary = primary_of(protected)
    site = primary if role == "primary" else other(primary)
    report = protected.drill("disk", site, seconds=14.0, more=("--rolled-back",))
    sound(report)
    assert report["reprotected_s"] is not None, report["remarks"]


@pytest.mark.timeout(240)
def test_a_clock_that_jumps_moves_nothing(protected: LocalFleet) -> None:
    target = other(primary_of(protected))
    report = protected.drill("clock", target, seconds=20.0)
    sound(report)
    assert report["primary"]["after"] == target
    assert report["epoch"]["after"] == report["epoch"]["before"] + 1


@pytest.mark.timeout(300)
@pytest.mark.parametrize("whom", ["cli", "agent"])
def test_a_mover_that_wakes_after_another_moved_changes_nothing(protected: LocalFleet, whom: str) -> None:
    target = other(primary_of(protected))
    report = protected.drill("stop-midway", target, rate=60, seconds=20.0, seed=3, more=("--whom", whom))
    sound(report)
    if whom == "cli":
        assert report["primary"]["after"] == target
        assert report["epoch"]["after"] == report["epoch"]["before"] + 1
    # How long it took is the benchmarks' business: this machine may be busy.
    missed = [one["name"] for one in report["objectives"] if not one["held"] and one["name"] != Measure.PAUSE]
    assert missed == [], report["remarks"]


@pytest.mark.timeout(300)
def test_a_fleet_that_stalls_acknowledges_nothing_without_its_standby(empty_fleet: LocalFleet) -> None:
    text = empty_fleet.file.read_text()
    empty_fleet.file.write_text(text.replace("on_standby_loss: degrade", "on_standby_loss: stall"))
    empty_fleet.deploy()
    sync = empty_fleet.wait_protected()["record"]["sync"]
    standby = sync[0].split("_")[0]
    report = empty_fleet.drill("kill", standby, rate=60, seconds=6.0)
    assert (report["ledger"]["lost"], report["ledger"]["duplicated"]) == (0, 0)
    assert report["unprotected_s"] == 0
    assert report["write_pause_ms"]["longest"] > 2000, "it went on without its standby"
    assert empty_fleet.status()["record"]["sync"] == sync
    LocalProvider(load_fleet(empty_fleet.file), empty_fleet.state).give_back(standby)
    after = empty_fleet.drill("switchover", standby, rate=60, seconds=5.0)
    sound(after)
    empty_fleet.run("destroy", "--yes")
