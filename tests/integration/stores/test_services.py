"""The stores of two sites as their specs say, as real processes: both serve, and one outlives the other's death."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from failover.adapters.programs import command_line
from failover.adapters.store_s3 import S3Store
from failover.adapters.store_s3_bucket import S3Bucket
from failover.errors import FailoverError, Unreachable
from failover.model.fleet import Role, Site
from failover.model.secret import Secret
from failover.model.store_ports import store_ports
from failover.model.stores import StoreKey, StoreKind, StorePlace
from failover.planner.hostspec_store import store_service
from tests.contract.store.servers import kill, started

KEY = StoreKey(access_key="integrationaccesskey", secret=Secret("integrationsecret"))
READY_S = 90.0
WAIT_S = 30.0


@contextlib.contextmanager
def served(site: Site, kind: StoreKind, folder: Path) -> Iterator[tuple[StorePlace, subprocess.Popen[bytes]]]:
    spec = store_service(site, kind, KEY)
    for file in spec.files:
        path = folder / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=file.mode)
        path.write_text(file.text)
    words, extra = command_line(spec.command, as_database=False)
    command = [word.replace("{host}", str(folder)) for word in words]
    endpoint = f"http://{site.address}:{store_ports(site.address).s3}"
    place = StorePlace(name=site.name, provider=site.provider, kind=kind, endpoint=endpoint, bucket="integration")
    with started(command, {**extra, **spec.environment}, folder) as process:
        _ready(place, folder)
        yield place, process


def _ready(place: StorePlace, folder: Path) -> None:
    until, said = time.monotonic() + READY_S, ""
    while time.monotonic() < until:
        try:
            S3Bucket(place, KEY, deadline_s=10).ensure()
            put(place, "ready", b"x")
        except FailoverError as error:
            said = str(error)
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{place.name}: {said}\n{(folder / 'log').read_text(errors='replace')[-2000:]}")


def put(place: StorePlace, key: str, body: bytes) -> None:
    asyncio.run(S3Store(place, KEY).put(key, body, deadline_s=WAIT_S))


def get(place: StorePlace, key: str) -> bytes:
    return asyncio.run(S3Store(place, KEY).get(key, deadline_s=WAIT_S))


def free_block() -> int:
    """A block of loopback nobody has a store in."""
    for block in range(200, 230):
        site = Site(name="a", provider="p", role=Role.DATA, address=f"127.{block}.0.1")
        with contextlib.suppress(OSError), contextlib.ExitStack() as held:
            for number in range(store_ports(site.address).s3, store_ports(site.address).s3 + 8):
                held.enter_context(socket.create_server(("127.0.0.1", number)))
            return block
    raise AssertionError("no block is free")


def test_a_store_outlives_its_neighbour_and_its_own_death(tmp_path: Path) -> None:
    block = free_block()
    sites = [
        Site(name=f"site{last}", provider=f"p{last}", role=Role.DATA, address=f"127.{block}.0.{last}")
        for last in (1, 2, 3)
    ]
    rich, neighbour, poor = sites
    with (
        served(rich, "seaweedfs", tmp_path / "rich") as (here, process),
        served(poor, "rclone", tmp_path / "poor") as (there, _),
    ):
        with served(neighbour, "seaweedfs", tmp_path / "neighbour") as (beside, other):
            for place in (here, there, beside):
                put(place, "k", place.name.encode())
            assert [get(place, "k") for place in (here, there, beside)] == [b"site1", b"site3", b"site2"]
            kill(other)
        put(here, "after", b"still served")
        assert get(here, "after") == b"still served"
        kill(process)
        try:
            get(here, "k")
        except Unreachable:
            pass
        else:
            raise AssertionError("a killed store answered")
        assert get(there, "k") == b"site3"
        with served(rich, "seaweedfs", tmp_path / "rich") as (again, _):
            assert get(again, "k") == b"site1"
            assert get(again, "after") == b"still served"
