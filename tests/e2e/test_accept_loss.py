"""The worst of days: the standby's provider was gone already when the primary's provider went, too.

Nothing of this may happen by itself: an operator accepts what is lost, and what was lost is kept and counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from failover.cli.options import Options
from failover.cli.wiring import wire
from failover.config.fleet import load_fleet
from failover.operations.drill_fault import LocalProvider
from failover.operations.wired import Wired
from tests.e2e.harness import LocalFleet

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(240)]
LOST = 400


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    one = LocalFleet(tmp_path, block=160)
    one.init()
    try:
        one.deploy()
        one.wait_protected()
        yield one
    finally:
        one.end()


def wait(fleet: LocalFleet, what: str, *, deadline_s: float = 40.0) -> dict[str, object]:
    """Until ``status`` says ``what`` of a site or a finding."""
    end = time.monotonic() + deadline_s
    while True:
        seen = fleet.status()
        if what in (*(site["state"] for site in seen["sites"]), *(one["code"] for one in seen["findings"])):
            return seen
        assert time.monotonic() < end, f"never {what}: {seen}"
        time.sleep(0.2)


def wired_of(fleet: LocalFleet) -> Wired:
    return wire(Options(fleet=fleet.file, json=False, verbose=False, colour=False))


def write(wired: Wired, site: str, statements: list[str]) -> None:
    """Each its own transaction; returns when all of them were acknowledged."""
    place = wired.fleet.site(site)
    with psycopg.connect(
        host=place.address, port=place.ports.postgres, user="keeper", dbname=wired.fleet.app.database,
        password=wired.secrets.keeper_password.reveal(), autocommit=True,
    ) as session:  # fmt: skip
        for statement in statements:
            session.execute(statement)


def test_an_unprotected_primary_that_dies_is_left_only_on_purpose_and_counted(fleet: LocalFleet) -> None:
    provider = LocalProvider(load_fleet(fleet.file), fleet.state)
    wired = wired_of(fleet)
    try:
        loss(fleet, provider, wired)
    finally:
        wired.close()


def loss(fleet: LocalFleet, provider: LocalProvider, wired: Wired) -> None:
    write(wired, "alpha", ["create table kept (id int primary key)", "insert into kept values (0)"])
    provider.kill("beta")
    wait(fleet, "unprotected")
    time.sleep(2.5)  # one publication of how long it has been alone
    write(wired, "alpha", [f"insert into kept values ({number})" for number in range(1, LOST + 1)])
    provider.kill("alpha")
    provider.give_back("beta")
    wait(fleet, "primary-gone")

    # Refused, with the figure and the next command.
    refused = fleet.run("--json", "promote", "beta", "--yes", status=3).json
    (finding,) = refused["findings"]
    assert finding["code"] == "loss-not-accepted" and "--accept-loss" in finding["hint"]
    too_little = fleet.run("--json", "promote", "beta", "--accept-loss", "100ms", "--yes", status=3).json
    assert "more than the accepted" in too_little["findings"][0]["message"]
    assert fleet.status()["record"]["primary"].startswith("alpha_"), "nothing was moved"

    words = finding["hint"].split("failover ")[-1].split()
    shown = fleet.run("--json", *words, "--dry-run").json
    risk = shown["plan"]["at_risk"]
    assert "acknowledged alone" in risk
    ran = fleet.run("--json", *words, "--approve", shown["digest"], status=None)
    assert ran.status in (0, 4), ran.err
    assert ran.json["at_risk"] and "failover certificate list" in ran.json["lost"][0]
    assert wired.measure.column("beta", "select count(*) from kept", {}) == ["1"]
    write(wired, "beta", ["insert into kept values (9999)"])

    # It comes back: fenced, saved, counted, and left as it is.
    provider.give_back("alpha")
    seen = wait(fleet, "quarantined")
    hint = next(one["hint"] for one in seen["findings"] if one["code"] == "quarantined")
    assert hint == "failover rejoin alpha"
    end = time.monotonic() + 30
    while not (listed := fleet.run("--json", "certificate", "list").json["certificates"]):
        assert time.monotonic() < end, "no certificate"
        time.sleep(0.3)
    (certificate,) = listed
    # The app's own worker may have committed, too; nothing of ours is missing from the count.
    assert LOST <= certificate["commits"] <= LOST + 60
    assert certificate["accepted"]["target"].startswith("beta_")
    time.sleep(3.0)
    assert [one["state"] for one in fleet.status()["sites"] if one["name"] == "alpha"] == ["quarantined"]

    plan = fleet.run("--json", "rejoin", "alpha", "--dry-run").json
    fleet.run("rejoin", "alpha", "--approve", plan["digest"])
    after = fleet.wait_protected()
    assert after["record"]["sync"][0].startswith("alpha_") and "quarantined" not in {
        one["code"] for one in after["findings"]
    }
    assert wired.measure.column("alpha", "select id from kept order by id", {}) == ["0", "9999"]
    # Still known when the host that made it is gone.
    assert fleet.run("certificate", "show", certificate["id"]).out.startswith(certificate["id"])
