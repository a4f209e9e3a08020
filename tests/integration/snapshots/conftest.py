"""A pair of databases with something in it, two stores at two providers, and what is needed to write and read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from failover.adapters.postgres_scratch import PostgresScratch
from failover.adapters.postgres_source import PostgresSource
from failover.adapters.processes import DetachedProcesses
from failover.data.backup import Order, Outcome, Writer, create
from failover.data.catalog import Catalog, read_catalog
from failover.data.further import Reader
from failover.model.spec import DatabaseSpec
from failover.trust.age import AgeKey
from failover.trust.seal import SealKey
from tests.fakes.store import RICH, MemoryStore
from tests.integration.postgres import copies

SPEC = DatabaseSpec(
    port=5440, database="app", app_password="a", replication_password="r", keeper_password="k",
    settings={"summarize_wal": "on", "autovacuum": "off"},
)  # fmt: skip
PLACES = {"alpha": "127.8.0.1", "beta": "127.18.0.1"}
FLEET = "shop"


class Copy(copies.Copy):
    """One site's database, and what a snapshot is taken from there."""

    def __init__(self, folder: Path, site: str) -> None:
        super().__init__(folder, site, places=PLACES, spec=SPEC)
        self.source = PostgresSource(
            address=PLACES[site], port=SPEC.port, passfile=self.files.passfile, name=f"snapshot_{site}", database="app"
        )

    def beat(self) -> None:
        """What a keeper does every half second: something for the WAL."""
        with self.session() as session:
            session.execute("select pg_logical_emit_message(false, 'failover', '', true)")


class Beating(PostgresSource):
    """A source whose primary's keeper is at work: its heart beats right after the digests were taken."""

    def __init__(self, copy: Copy, primary: Copy) -> None:
        super().__init__(
            address=PLACES[copy.site], port=SPEC.port, passfile=copy.files.passfile,
            name=f"snapshot_{copy.site}", database="app",
            upstream=None if copy is primary else (PLACES[primary.site], SPEC.port),
        )  # fmt: skip
        self._primary = primary

    def digests(self):  # type: ignore[no-untyped-def]
        found = super().digests()
        self._primary.beat()
        return found


@dataclass
class World:
    """alpha is primary, beta its standby; a memory store at each."""

    alpha: Copy
    beta: Copy
    folder: Path
    stores: dict[str, MemoryStore]
    keys: list[AgeKey]
    seal: SealKey
    lists: dict[str, bytes] = field(default_factory=dict)

    @property
    def writer(self) -> Writer:
        return Writer(
            fleet=FLEET, recipients=tuple(key.public for key in self.keys), seal=self.seal,
            stores=tuple(self.stores.values()), stall_s=20.0,
        )  # fmt: skip

    def source(self, site: str = "beta") -> PostgresSource:
        return Beating(self.beta if site == "beta" else self.alpha, self.alpha)

    def take(self, parent: str = "", site: str = "beta") -> Outcome:
        """A snapshot, incremental on ``parent`` when one is named."""
        order = Order(
            kind="incremental" if parent else "full", parent=parent, parent_list=self.lists.get(parent, b""),
            site=site, now=datetime.now(UTC),
        )  # fmt: skip
        outcome = asyncio.run(create(self.source(site), order, self.writer))
        self.lists[outcome.manifest.id] = outcome.file_list
        return outcome

    def catalog(self) -> Catalog:
        identifier = self.alpha.source.facts().system_identifier
        trusted = [self.seal.public]
        stores = list(self.stores.values())
        return asyncio.run(read_catalog(stores, fleet=FLEET, system_identifier=identifier, trusted=trusted))

    def reader(self, first: str = "s-alpha", *, strict: bool = False) -> Reader:
        """Of all stores, ``first`` in front."""
        stores = sorted(self.stores.values(), key=lambda store: store.name != first)
        return Reader(stores=tuple(stores), keys=tuple(self.keys), strict=strict)

    def scratch(self) -> PostgresScratch:
        return PostgresScratch(DetachedProcesses(), log=self.folder / "scratch.log")


def memory(site: str) -> MemoryStore:
    return MemoryStore(name=f"s-{site}", traits=msgspec.structs.replace(RICH, provider=site))


def fill(alpha: Copy) -> None:
    with alpha.session() as session:
        session.execute("create table posts (id int primary key, body text, at timestamptz default now())")
        session.execute("create table odd (id int, place point, doc json)")
        session.execute("insert into posts select g, repeat(md5(g::text), 20) from generate_series(1, 20000) g")
        session.execute("insert into odd select g, point(g, g), '{}' from generate_series(1, 100) g")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    alpha, beta = Copy(tmp_path, "alpha"), Copy(tmp_path, "beta")
    with copies.streaming(alpha, beta):
        fill(alpha)
        yield World(
            alpha=alpha, beta=beta, folder=tmp_path, stores={f"s-{site}": memory(site) for site in PLACES},
            keys=[AgeKey.new(), AgeKey.new()], seal=SealKey.at(tmp_path / "seal.key"),
        )  # fmt: skip
