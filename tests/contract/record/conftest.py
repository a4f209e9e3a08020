"""The stores that the record's contract runs on, and three real voters per kind of connection."""

from __future__ import annotations

import itertools
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from failover.adapters.record_etcd import EtcdRecordStore
from failover.adapters.record_etcd_http import Voters as Connections
from failover.adapters.record_etcd_wire import b64
from failover.adapters.record_sqlite import SqliteRecordStore
from failover.ports.record import Lease, RecordStore
from tests.contract.record.voters import Voters
from tests.fakes.record import MemoryRecordStore, Shared

_FLEETS = itertools.count(1)


@dataclass
class Bench:
    """One kind of store: ``open`` gives another client of the same store."""

    kind: str
    open: Callable[[], RecordStore]
    expire: Callable[[RecordStore, Lease], None]
    damage: Callable[[bytes], None]
    opened: list[RecordStore] = field(default_factory=list)

    def client(self) -> RecordStore:
        self.opened.append(self.open())
        return self.opened[-1]


def _block(tls: bool) -> int:
    """The last byte of the voters' addresses: two test runs on one machine shall not meet."""
    return 2 + (os.getpid() * 2 + tls) % 240


def _voters(folder: Path, *, tls: bool) -> Iterator[Voters]:
    if shutil.which("etcd") is None:
        pytest.fail("etcd is not on this machine: script/bootstrap installs it")
    voters = Voters(folder, block=_block(tls), tls=tls)
    try:
        voters.start()
        yield voters
    finally:
        voters.stop()


@pytest.fixture(scope="session")
def plain_voters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voters]:
    yield from _voters(tmp_path_factory.mktemp("voters"), tls=False)


@pytest.fixture(scope="session")
def tls_voters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Voters]:
    yield from _voters(tmp_path_factory.mktemp("tls-voters"), tls=True)


@pytest.fixture
def voters(plain_voters: Voters) -> Iterator[Voters]:
    """The plain voters; whatever a test did to them is put right again."""
    yield plain_voters
    plain_voters.heal()


@pytest.fixture(params=["memory", "sqlite", "etcd", "etcd-tls"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    one = _bench(request, tmp_path)
    yield one
    for store in one.opened:
        store.close()


def fleet_name() -> str:
    """A fleet of its own for each test: the voters are shared."""
    return f"fleet{next(_FLEETS)}"


def _bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    if request.param == "memory":
        return _memory()
    if request.param == "sqlite":
        return _sqlite(tmp_path)
    voters: Voters = request.getfixturevalue("tls_voters" if request.param == "etcd-tls" else "plain_voters")
    return _etcd(voters, request.param)


def _memory() -> Bench:
    shared = Shared()

    def expire(store: RecordStore, lease: Lease) -> None:
        shared.now_s += lease.ttl_s + 0.1

    def damage(content: bytes) -> None:
        shared.content = content

    return Bench(kind="memory", open=lambda: MemoryRecordStore(shared), expire=expire, damage=damage)


def _sqlite(tmp_path: Path) -> Bench:
    now = [1000.0]
    path = tmp_path / "record.db"

    def expire(store: RecordStore, lease: Lease) -> None:
        now[0] += lease.ttl_s + 0.1

    def damage(content: bytes) -> None:
        with sqlite3.connect(path) as connection:
            connection.execute("INSERT OR REPLACE INTO record VALUES (1, ?)", (content,))

    def sleep(duration_s: float) -> None:
        time.sleep(min(duration_s, 0.001))
        now[0] += duration_s

    return Bench(
        kind="sqlite",
        open=lambda: SqliteRecordStore(path=path, boottime=lambda: now[0], sleep=sleep, boot_id="boot"),
        expire=expire,
        damage=damage,
    )


def _etcd(voters: Voters, kind: str) -> Bench:
    fleet = fleet_name()

    def expire(store: RecordStore, lease: Lease) -> None:
        end = time.monotonic() + 15
        while store.holder(name=lease.name, deadline_s=2) is not None:
            assert time.monotonic() < end, "the lease did not expire"
            time.sleep(0.1)

    def damage(content: bytes) -> None:
        raw = Connections(endpoints=voters.endpoints, tls=voters.tls, dial_timeout_s=1, hedge_s=1)
        key = b64(f"/failover/{fleet}/record".encode())
        body = f'{{"key":"{key}","value":"{b64(content)}"}}'.encode()
        assert raw.ask("/v3/kv/put", body, deadline_s=5).ok
        raw.close()

    return Bench(
        kind=kind,
        open=lambda: EtcdRecordStore(fleet=fleet, endpoints=voters.endpoints, tls=voters.tls),
        expire=expire,
        damage=damage,
    )
