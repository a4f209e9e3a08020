"""The database that ``backup`` measures with, about 1.4 GB, and the process in which ours runs, memory of its own."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import msgspec
import psycopg

from failover.adapters.postgres import LocalPostgres
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.postgres_scratch import PostgresScratch
from failover.adapters.postgres_source import PostgresSource
from failover.adapters.processes import DetachedProcesses
from failover.adapters.programs import AS_NOBODY, locate
from failover.adapters.store_s3 import S3Store
from failover.data.backup import Order, Writer, create
from failover.data.catalog import read_catalog
from failover.data.further import Reader
from failover.data.verify import verify
from failover.model.snapshot import Kind
from failover.model.spec import DatabaseSpec
from failover.model.stores import StoreKind, StorePlace
from failover.model.units import MemberId
from failover.trust.age import AgeKey
from failover.trust.seal import SealKey
from tests.bench.lines import say
from tests.contract.store.servers import KEY

ADDRESS, PORT, FLEET = "127.39.0.1", 5440, "bench"
_SPEC = DatabaseSpec(
    port=PORT, database="app", app_password="a", replication_password="r", keeper_password="k",
    settings={"summarize_wal": "on", "autovacuum": "off", "max_wal_size": "4GB", "shared_buffers": "256MB"},
)  # fmt: skip
_FILL = (
    "create table accounts (aid int primary key, bid int, abalance int, filler char(84))",
    "insert into accounts select g, g / 100000, 0, '' from generate_series(1, 5500000) g",
    "create table history (aid int, delta int, at timestamptz default now(), filler char(22))",
    "create table posts (id int primary key, body text)",
    "insert into posts select g, repeat(md5(g::text), 3) || repeat(md5((g / 10)::text), 5) "
    "from generate_series(1, 1500000) g",
    "checkpoint",
)
_LOOK = (
    "select count(*), sum(hash_record_extended(t.*, 0)) from {} t"
)
_TABLES = ("accounts", "history", "posts")


class Base:
    """One primary in ``folder``; made and filled when it is not there yet."""

    def __init__(self, folder: Path) -> None:
        host = folder / "primary"
        for name in ("run", "log"):
            (host / name).mkdir(parents=True, exist_ok=True)
        self._files = PostgresFiles(host_dir=host, site="alpha", address=ADDRESS, spec=_SPEC, peers=[])
        self._database = LocalPostgres(self._files, DetachedProcesses())

    @contextmanager
    def running(self) -> Iterator[Base]:
        """Up, and stopped at the end."""
        new = not self._files.data.exists()
        asyncio.run(self._start(new))
        try:
            if new:
                say("making a database of 1.4 GB")
                with self.session() as session:
                    for statement in _FILL:
                        session.execute(statement.encode())
            yield self
        finally:
            asyncio.run(self._stop())

    async def _start(self, new: bool) -> None:
        if new:
            await self._database.create(MemberId("alpha_0000000a"))
        await self._database.start_primary(())

    async def _stop(self) -> None:
        await self._database.stop(clean=True, budget_s=60.0)

    def session(self) -> psycopg.Connection[tuple[object, ...]]:
        """As the keeper."""
        return psycopg.connect(
            host=ADDRESS, port=PORT, user="keeper", password="k", dbname="app", autocommit=True
        )

    def size_bytes(self) -> int:
        """Of all databases."""
        with self.session() as session:
            row = session.execute("select sum(pg_database_size(oid))::bigint from pg_database").fetchone()
        assert row is not None
        return int(str(row[0]))

    def transactions(self, count: int) -> None:
        """As pgbench's: a random account and a line of history each."""
        with self.session() as session:
            for number in range(count):
                with session.transaction():
                    account = (number * 2_654_435_761) % 5_500_000 + 1
                    session.execute("update accounts set abalance = abalance + 1 where aid = %s", [account])
                    session.execute("insert into history (aid, delta, filler) values (%s, 1, '')", [account])

    @property
    def conninfo(self) -> str:
        """For PostgreSQL's own programs."""
        return f"host={ADDRESS} port={PORT} user=replicator passfile={self._files.passfile}"

    @staticmethod
    def program(name: str) -> str:
        """Its path."""
        return locate(name)[0]

    def by_hand(self, data: Path, lsn: str) -> list[str]:
        """Shell lines: the unpacked backup is started, replayed to ``lsn``, checked, digested and stopped."""
        person = " ".join(AS_NOBODY)
        settings = {
            "listen_addresses": "", "unix_socket_directories": f"{data.parent}", "hot_standby": "off", "fsync": "off",
            "restore_command": "false", "recovery_target_lsn": lsn, "recovery_target_inclusive": "off",
            "recovery_target_action": "promote", "shared_buffers": "64MB", "autovacuum": "off",
        }  # fmt: skip
        config = "\n".join(f"{name} = '{value}'" for name, value in settings.items())
        socket = f"-h {data.parent} -U keeper"
        psql = "psql -X -q -At -v ON_ERROR_STOP=1"
        looks = [f'{psql} {socket} -d app -c "{_LOOK.format(table)}"' for table in _TABLES]
        return [
            "chmod 700 data",
            f"cat >data/postgresql.conf <<'END'\n{config}\nEND",
            "echo 'local all all trust' >data/pg_hba.conf",
            "rm -rf data/standby.signal data/pg_replslot/*; : >data/postgresql.auto.conf; touch data/recovery.signal",
            f"{person} {self.program('pg_ctl')} -D data -l log -w -t 120 start >/dev/null",
            f"until {psql} {socket} -d postgres -c 'select 1/(not pg_is_in_recovery())::int' >/dev/null 2>&1; "
            "do sleep 0.05; done",
            f"{self.program('pg_amcheck')} --install-missing --heapallindexed --no-password {socket} -d app",
            *looks,
            f"{person} {self.program('pg_ctl')} -D data -m fast -w stop >/dev/null",
        ]


def place_of(kind: str, address: str) -> StorePlace:
    """A bucket at a server of that kind, each at a provider of its own."""
    return StorePlace(
        name=kind, provider=kind, kind=cast(StoreKind, kind), endpoint=f"http://{address}", bucket="bench"
    )


class _Ask(msgspec.Struct, kw_only=True):
    what: str
    folder: str
    stores: tuple[StorePlace, ...]
    recipients: tuple[str, ...]
    keys: tuple[str, ...]
    parent: str


def run_child(
    what: str, *, folder: Path, stores: Sequence[StorePlace], recipients: Sequence[str], keys: Sequence[Path],
    parent: str = "",
) -> dict[str, Any]:  # fmt: skip
    """``take`` (on ``parent``) or ``verify`` (of ``parent``, from the last store) in a process of its own."""
    ask = _Ask(
        what=what, folder=str(folder), stores=tuple(stores), recipients=tuple(recipients),
        keys=tuple(str(path) for path in keys), parent=parent,
    )  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.backup_base"], input=msgspec.json.encode(ask), capture_output=True,
        timeout=900, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise AssertionError(f"{what} ended with {done.returncode}: {done.stderr.decode()[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _take(ask: _Ask, stores: tuple[S3Store, ...]) -> dict[str, Any]:
    folder = Path(ask.folder)
    lists = folder / "lists"
    lists.mkdir(exist_ok=True)
    source = _source(folder)
    kind: Kind = "incremental" if ask.parent else "full"
    listed = (lists / ask.parent).read_bytes() if ask.parent else b""
    order = Order(kind=kind, parent=ask.parent, parent_list=listed, site="alpha", now=datetime.now(UTC))
    writer = Writer(fleet=FLEET, recipients=ask.recipients, seal=SealKey.at(folder / "seal.key"), stores=stores)
    began = time.perf_counter()
    outcome = asyncio.run(create(source, order, writer))
    seconds = time.perf_counter() - began
    assert outcome.counts, outcome.failed
    manifest = outcome.manifest
    assert manifest.digests or ask.parent, manifest.why
    (lists / manifest.id).write_bytes(outcome.file_list)
    return {
        "id": manifest.id, "prefix": manifest.prefix, "lsn": manifest.lsn, "seconds": seconds,
        "bytes": manifest.total_bytes, "why": manifest.why,
    }  # fmt: skip


def _source(folder: Path) -> PostgresSource:
    passfile = folder / "primary" / "run" / "pgpass"
    return _Beating(address=ADDRESS, port=PORT, passfile=passfile, name="bench_snapshot", database="app")


class _Beating(PostgresSource):
    """A keeper's heart beats after the digests; without it a quiet server has no WAL to end with."""

    def digests(self):  # type: ignore[no-untyped-def]
        found = super().digests()
        with self._session() as session:
            session.execute("select pg_logical_emit_message(false, 'failover', '', true)")
        return found


def _verify(ask: _Ask, stores: tuple[S3Store, ...]) -> dict[str, Any]:
    folder = Path(ask.folder)
    seal = SealKey.at(folder / "seal.key")
    keys = tuple(AgeKey.read(Path(path).read_text()) for path in ask.keys)
    identifier = _source(folder).facts().system_identifier

    async def work() -> dict[str, Any]:
        catalog = await read_catalog(stores, fleet=FLEET, system_identifier=identifier, trusted=[seal.public])
        began = time.perf_counter()
        proof = await verify(
            catalog.chain(ask.parent), Reader(stores=stores[::-1], keys=keys, strict=True),
            PostgresScratch(DetachedProcesses(), log=folder / "scratch.log"), site="beta", databases=("app",),
            folder=folder, now=lambda: datetime.now(UTC),
        )  # fmt: skip
        return {"seconds": time.perf_counter() - began, "rows": proof.rows, "checks": proof.checks}

    return asyncio.run(work())


def main() -> None:
    """One piece of work; its figures as JSON."""
    ask = msgspec.json.decode(sys.stdin.buffer.read(), type=_Ask)
    stores = tuple(S3Store(place, KEY) for place in ask.stores)
    found = {"take": _take, "verify": _verify}[ask.what](ask, stores)
    found["peak_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
