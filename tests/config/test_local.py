"""The commented local fleet: what ``init --local`` writes, true in every word that can be tested."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from failover.config.fleet import check_fleet_bytes
from failover.config.local import local_fleet_text
from failover.config.local_stores import local_stores_text
from failover.model.fleet import App, Dns, Fleet, Ports, Role, Service, Site, Timing
from failover.model.stores import Policy, SnapshotRules
from failover.trust.age import AgeKey

STACKS = Path(__file__).parents[2] / "stacks"
RECIPIENTS = (AgeKey.new().public, AgeKey.new().public)
LINES = local_fleet_text().splitlines()
# Written with their default: leaving the line out must declare the same fleet.
OPTIONAL = re.compile(
    r" *(promote|on_standby_loss|record|kind|voter|class|database|settings|health|start|gate|environment|ttl|answer"
    r"|streams|slow|quiesce|resume|postgres|edge|forward|agent|etcd_\w+|dns_api|probe_\w+|standby_stale|fresh"
    r"|\w+_lease|\w+_budget): .*| +dns: 5300"
)


def fleet_of(text: str) -> Fleet:
    fleet, findings = check_fleet_bytes(text.encode(), "fleet.yaml")
    assert findings == ()
    assert fleet is not None
    return fleet


def test_the_file_in_the_checkout_is_the_text() -> None:
    assert (STACKS / "fleet.yaml").read_text(encoding="utf-8") == local_fleet_text()


def test_it_declares_three_providers_on_this_machine() -> None:
    fleet = fleet_of(local_fleet_text())
    assert [(site.name, site.role, site.address) for site in fleet.sites] == [
        ("alpha", Role.DATA, "127.10.0.1"),
        ("beta", Role.DATA, "127.20.0.1"),
        ("gamma", Role.WITNESS, "127.30.0.1"),
    ]
    assert [site.provider for site in fleet.sites] == ["north", "south", "west"]
    assert [site.name for site in fleet.dns_sites] == ["alpha", "beta"]
    assert len(fleet.voters) == 3
    assert fleet.preferred == "alpha"
    assert [(service.name, service.port) for service in fleet.app.services] == [
        ("web-1", 9001),
        ("web-2", 9002),
        ("worker", 0),
    ]
    assert all(service.gate for service in fleet.app.services)


@pytest.mark.parametrize("block", [1, 60, 235])
def test_another_block_moves_only_the_addresses(block: int) -> None:
    fleet = fleet_of(local_fleet_text(block))
    assert [site.address for site in fleet.sites] == [f"127.{block + step}.0.1" for step in (0, 10, 20)]
    here = [msgspec.structs.replace(site, address="") for site in fleet.sites]
    assert here == [msgspec.structs.replace(site, address="") for site in fleet_of(local_fleet_text()).sites]


@pytest.mark.parametrize("block", [-1, 0, 236, 1000])
def test_a_block_that_is_none_is_refused(block: int) -> None:
    with pytest.raises(ValueError, match="block"):
        local_fleet_text(block)


@pytest.mark.parametrize("number", [i for i, line in enumerate(LINES) if OPTIONAL.fullmatch(line)])
def test_a_line_called_a_default_may_be_left_out(number: int) -> None:
    without = "\n".join(LINES[:number] + LINES[number + 1 :])
    assert fleet_of(without) == fleet_of(local_fleet_text())


def test_all_defaults_together_may_be_left_out() -> None:
    text = "\n".join(line for line in LINES if not OPTIONAL.fullmatch(line))
    assert fleet_of(text) == fleet_of(local_fleet_text())


def test_every_setting_of_the_model_is_shown() -> None:
    text = local_fleet_text() + local_stores_text(RECIPIENTS)
    shown = set(re.findall(r"^ *(?:- )?([a-z_]+):", text, re.MULTILINE))
    kinds = (Fleet, Site, App, Dns, Ports, Timing, Service, SnapshotRules, Policy)
    fields = {name.removesuffix("_s") for kind in kinds for name in kind.__struct_fields__}
    assert fields - {"name", "promise"} <= shown
    assert {"fleet", "class", "name"} <= shown


def test_the_stores_of_the_local_fleet_are_rich_and_poor_and_only_there_when_asked_for() -> None:
    plain = fleet_of(local_fleet_text(60))
    assert (plain.stores, plain.snapshots) == ((), None)
    fleet = fleet_of(local_fleet_text(60) + local_stores_text(RECIPIENTS))
    assert [(store.name, store.site, store.provider, store.kind) for store in fleet.stores] == [
        ("north", "alpha", "north", "seaweedfs"),
        ("south", "beta", "south", "rclone"),
    ]
    assert [store.endpoint.rpartition(":")[0] for store in fleet.stores] == ["http://127.60.0.1", "http://127.70.0.1"]
    assert fleet.snapshots == SnapshotRules(recipients=RECIPIENTS)
    assert msgspec.structs.replace(fleet, stores=(), snapshots=None, media=None) == plain


def test_every_default_in_the_text_is_the_models() -> None:
    fleet = fleet_of(local_fleet_text())
    assert fleet.timing == Timing()
    assert all(site.ports == Ports() for site in fleet.sites)


def test_lines_are_short_enough_for_a_terminal() -> None:
    assert max(map(len, (*LINES, *local_stores_text(RECIPIENTS).splitlines()))) <= 120
    assert local_fleet_text().endswith("\n")
