"""Golden text of what a fleet with stores says of its WAL, and of the step that its moves have more."""

from __future__ import annotations

import json

import msgspec
import pytest

from failover.errors import Exit
from failover.model.observation import StoreBehind
from failover.model.status import ShippingStatus
from failover.planner.check import judge
from tests.cli.conftest import Failover
from tests.cli.golden import same
from tests.fakes.hosts import agent, record, seen, shipping, shipping_fleet
from tests.fakes.wired import Memory


def _says(world: Memory, **more: object) -> None:
    told = shipping("alpha", record(), **more)
    world.hosts.states["alpha"] = msgspec.structs.replace(world.hosts.states["alpha"], shipping=told)


def test_all_is_in_two_stores(failover: Failover, shipping_world: Memory) -> None:
    same("shipping-status", failover("status").text())
    shown = json.loads(failover("--json", "status").out)["shipping"]
    assert (shown["exposure_bytes"], shown["exposure_s"], shown["acknowledged_lsn"]) == (0, 0.0, "0/3E8")
    same("shipping-check", failover("check").text())
    assert failover("check").status == 0
    same("shipping-check-prometheus", failover("check", "--format", "prometheus").text())


def test_a_fleet_without_stores_says_nothing_of_it(failover: Failover, world: Memory) -> None:
    assert "shipping" not in json.loads(failover("--json", "status").out)
    assert "two stores" not in failover("status").out
    assert "wal_exposure" not in failover("check", "--format", "prometheus").out
    assert "rest-shipper" not in failover("switchover", "--to", "beta", "--dry-run", "--json").out


def test_what_is_exposed_for_long_is_a_finding(failover: Failover, shipping_world: Memory) -> None:
    south = StoreBehind(store="south", why="put: no answer in 20 s")
    _says(shipping_world, exposure_bytes=81_920, exposure_s=42.0, behind=(south,))
    same("shipping-exposed", failover("status").text())
    said = failover("check")
    assert said.status == 1
    same("shipping-exposed-check", said.text())
    _says(shipping_world, exposure_bytes=81_920, exposure_s=301.0)
    assert failover("check").status == 2
    _says(shipping_world, snapshot_wanted="WAL before 0/3000000 was lost before two stores had it (2026-11-26)")
    same("shipping-lost-check", failover("check").text())
    assert failover("check").status == 2


def test_an_agent_that_does_not_ship_is_never_green(failover: Failover, shipping_world: Memory) -> None:
    hosts = shipping_world.hosts
    hosts.states["alpha"] = msgspec.structs.replace(hosts.states["alpha"], shipping=None)
    same("shipping-unknown", failover("status").text())
    assert failover("check").status == 1
    resting = agent("alpha", record(), shipping=shipping("alpha", record(), duty="rest", exposure_bytes=0))
    found = judge(shipping_fleet(), seen(alpha=resting))
    assert [finding.code for finding in found.findings] == ["not-shipping", "restore-unproven"]
    assert isinstance(found.view.shipping, ShippingStatus) and found.view.shipping.exposure_bytes is None


def test_a_move_lets_the_shipper_rest_before_anybody_waits(failover: Failover, shipping_world: Memory) -> None:
    same("shipping-dry-run", failover("switchover", "--to", "beta", "--dry-run").text())
    told = failover("switchover", "--to", "beta", "--dry-run", "--format", "markdown").text()
    assert "kill $(cat .failover/sites/alpha/run/ship.pid)" in told
    done = failover("--json", "switchover", "--to", "beta", "--yes")
    assert done.status == Exit.DONE
    steps = [step["id"] for step in json.loads(done.out)["steps"]]
    assert steps[2:5] == ["claim", "rest-shipper", "hold"]
    found = [shipping_world.hosts.states[site].shipping for site in ("alpha", "beta")]
    assert [facts.duty for facts in found if facts is not None] == ["keep", "ship"]


def test_one_that_does_not_rest_stops_no_move(
    failover: Failover, shipping_world: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("failover.planner.wal_steps.REST_TIMEOUT_S", 0.3)
    shipping_world.hosts.stuck_shipper = True
    done = failover("--json", "switchover", "--to", "beta", "--yes")
    assert done.status == Exit.OBJECTIVE_MISSED
    ended = {step["id"]: step["outcome"] for step in json.loads(done.out)["steps"]}
    assert ended["rest-shipper"] != "done" and ended["commit"] == "done"
    assert shipping_world.record.primary_site == "beta"
