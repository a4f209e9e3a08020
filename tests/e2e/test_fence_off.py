"""Negative control of the asking: with the laws off, a woken side serves the past, and the drill finds it.

The site is woken in the drill's own order, its agent last, so that nothing but the laws stands between it and its
users: the outcome does not depend on who wakes up faster.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import LiteralString

import psycopg
import pytest

from failover.cli.options import Options
from failover.cli.wiring import wire
from tests.e2e.harness import LocalFleet
from tests.e2e.lawless import start_anew

pytestmark = [pytest.mark.e2e, pytest.mark.long]


def at_database(fleet: LocalFleet, site: str, sql: LiteralString) -> None:
    wired = wire(Options(fleet=fleet.file, json=False, verbose=False, colour=False))
    try:
        place, password = wired.fleet.site(site), wired.secrets.keeper_password.reveal()
        with psycopg.connect(
            host=place.address, port=place.ports.postgres, user="keeper", password=password, dbname="postgres"
        ) as connection:
            connection.execute(sql)
    finally:
        wired.close()


@pytest.fixture
def lawless(protected: LocalFleet) -> Iterator[tuple[LocalFleet, str]]:
    """The primary's app commits without its standby (A2), and its gate never asks how old the evidence is (E1)."""
    primary = protected.status()["record"]["primary"].split("_")[0]
    spec = protected.host_dir(primary) / "spec.json"
    text = spec.read_text()
    spec.write_text(json.dumps({**json.loads(text), "fresh_s": 1e6}))
    at_database(protected, primary, "alter role app set synchronous_commit = local")
    start_anew(protected, primary)
    yield protected, primary
    now = protected.status()["record"]["primary"].split("_")[0]
    at_database(protected, now, "alter role app reset synchronous_commit")
    protected.deploy()


@pytest.mark.timeout(300)
def test_without_its_laws_a_woken_primary_is_caught(lawless: tuple[LocalFleet, str]) -> None:
    fleet, primary = lawless
    fleet.drill("freeze", primary, seconds=8.0)
    woken = fleet.drill("return", primary, rate=60, seconds=6.0)
    assert woken["old_side"]["stale_reads"] > 0, woken["old_side"]
    assert woken["old_side"]["writes_alone"] > 0, woken["old_side"]
    assert not woken["held"]
