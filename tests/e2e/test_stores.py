"""A fleet with stores: each one dies with its site and comes back with what it held; nothing is left at the end."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover.adapters.store_s3 import S3Store
from failover.config.fleet import load_fleet
from failover.model.fleet import Fleet
from failover.model.store_ports import store_ports
from failover.model.stores import StoreKey
from failover.planner.hostspec_store import store_sockets
from failover.trust.store_keys import load_store_keys
from tests.e2e.harness import LocalFleet

pytestmark = [pytest.mark.e2e, pytest.mark.long]

WAIT_S = 30.0
BODY = b"what a provider held when it was switched off" * 1000


@pytest.fixture
def one(tmp_path: Path) -> Iterator[LocalFleet]:
    """Initialised with stores, not deployed; nothing of it is left, whatever happened."""
    fleet = LocalFleet(tmp_path, block=33)
    fleet.init("--stores")
    try:
        yield fleet
    finally:
        fleet.end()


def keys(fleet: LocalFleet, declared: Fleet) -> dict[str, StoreKey]:
    return load_store_keys(fleet.state / "trust", declared.stores)


async def _put_and_get(fleet: LocalFleet, name: str, *, put: bool) -> bytes:
    declared = load_fleet(fleet.file)
    (place,) = (store for store in declared.stores if store.name == name)
    store = S3Store(place, keys(fleet, declared)[name])
    try:
        if put:
            await store.put("e2e/kept", BODY, deadline_s=WAIT_S)
        return await store.get("e2e/kept", deadline_s=WAIT_S)
    finally:
        await store.close()


def held(fleet: LocalFleet, name: str, *, put: bool = False) -> bytes:
    """What the store gives back; put there first, if asked for."""
    return asyncio.run(_put_and_get(fleet, name, put=put))


def silent(fleet: LocalFleet) -> list[str]:
    """The stores that ``status`` finds silent."""
    return [one["message"].split()[1] for one in fleet.status()["findings"] if one["code"] == "store-silent"]


def wait_answering(fleet: LocalFleet) -> None:
    end = time.monotonic() + 120
    while silent(fleet):
        assert time.monotonic() < end, fleet.last_words()
        time.sleep(0.3)


def listening(fleet: LocalFleet) -> list[str]:
    """Ports of the fleet's stores that accept."""
    found = []
    for site in load_fleet(fleet.file).data_sites:
        first = store_ports(site.address).s3
        for port in range(first, first + 8):
            with socket.socket() as connection:
                connection.settimeout(2)
                if connection.connect_ex((site.address, port)) == 0:
                    found.append(f"{site.name}:{port}")
    return found


@pytest.mark.timeout(420)
def test_stores_live_and_die_with_their_sites(one: LocalFleet) -> None:
    assert one.run("preview").out.count("create   Bucket") == 2
    one.deploy()
    one.wait_protected()
    assert silent(one) == []
    assert [held(one, name, put=True) == BODY for name in ("north", "south")] == [True, True]

    report = one.drill("kill", "alpha", seconds=8.0)
    assert (report["ledger"]["lost"], report["ledger"]["duplicated"]) == (0, 0)
    assert report["primary"] == {"before": "alpha", "after": "beta"}
    assert report["dead_side"]["calls"] == 0, report["dead_side"]["log"]
    assert silent(one) == ["north"]
    # Critical once something has waited for the second store for long enough.
    assert one.run("check", status=None).status in (1, 2)
    assert {where.split(":")[0] for where in listening(one)} == {"beta"}
    assert held(one, "south") == BODY

    one.drill("return", "alpha", seconds=8.0)
    one.wait_protected()
    wait_answering(one)
    assert held(one, "north") == BODY

    steps = {step["id"]: step for step in one.run("--json", "deploy", "--yes").json["steps"]}
    assert [steps[f"stack-{site}"]["detail"] for site in ("alpha", "beta")] == ["unchanged", "unchanged"]
    assert not [name for name in steps if name.startswith("bucket")], json.dumps(steps, indent=1)
    assert held(one, "north") == BODY

    sites = load_fleet(one.file).data_sites
    one.run("destroy", "--yes")
    assert not any(one.processes().values())
    assert listening(one) == []
    assert [path for site in sites for path in store_sockets(site) if Path(path).exists()] == []
    assert not one.state.exists() or not list(one.state.rglob("store"))
