"""Two real PostgreSQL copies on loopback, handled by the adapter a keeper uses; a step here is a step of a schedule."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import psycopg

from failover.adapters.postgres import LocalPostgres
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.processes import DetachedProcesses, kill_tree
from failover.model.spec import DatabaseSpec
from failover.model.units import Lsn, MemberId
from failover.ports.database import Upstream

A, B = MemberId("alpha_0000000a"), MemberId("beta_0000000b")
PLACES = {"alpha": "127.120.0.1", "beta": "127.121.0.1"}
SPEC = DatabaseSpec(
    port=5444, database="app", app_password="a", replication_password="r", keeper_password="k",
    settings={"autovacuum": "off", "shared_buffers": "16MB"},
)  # fmt: skip


class Site:
    """One site's copy."""

    def __init__(self, folder: Path, name: str) -> None:
        self.host_dir = folder / name
        for part in ("run", "log"):
            (self.host_dir / part).mkdir(parents=True)
        peers = [Upstream(site=other, address=at, port=SPEC.port) for other, at in PLACES.items() if other != name]
        self.files = PostgresFiles(host_dir=self.host_dir, site=name, address=PLACES[name], spec=SPEC, peers=peers)
        self.database = LocalPostgres(self.files, DetachedProcesses())
        self.here = Upstream(site=name, address=PLACES[name], port=SPEC.port)
        self.peer = peers[0]

    def session(self, *, timeout_ms: int = 5000) -> psycopg.Connection[tuple[object, ...]]:
        """Autocommit, as the keeper's role in the app's database."""
        return psycopg.connect(
            host=self.here.address, port=SPEC.port, user="keeper", password="k", dbname="app", autocommit=True,
            options=f"-c statement_timeout={timeout_ms}",
        )  # fmt: skip

    def value(self, query: str) -> object:
        """First column of the first row."""
        with self.session() as session:
            return session.execute(query.encode()).fetchall()[0][0]

    def rows(self) -> set[int]:
        """What the table of posts holds."""
        with self.session() as session:
            return {int(str(row[0])) for row in session.execute("select id from posts").fetchall()}

    def flushed(self) -> Lsn:
        """How far this primary's own WAL is on disk."""
        return int(str(self.value("select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint")))

    def signal(self, number: int) -> None:
        """To every process of the server."""
        pid = int((self.files.data / "postmaster.pid").read_text().split("\n", 1)[0])
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == pid:
                os.kill(int(path.parent.name), number)
        os.kill(pid, number)

    def kill(self) -> None:
        """SIGKILL of the whole server; nothing when it does not run."""
        path = self.files.data / "postmaster.pid"
        if not path.exists():
            return
        pid = int(path.read_text().split("\n", 1)[0])
        kill_tree(pid)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            return

    def keep_disk(self) -> Path:
        """A copy of the stopped data directory, as a provider's snapshot."""
        kept = self.host_dir / "kept"
        shutil.copytree(self.files.data, kept)
        return kept

    def put_disk_back(self, kept: Path) -> None:
        """The provider restores it."""
        shutil.rmtree(self.files.data)
        shutil.copytree(kept, self.files.data)


async def protected(alpha: Site, beta: Site) -> None:
    """alpha a primary that waits for beta, beta ready to be promoted with alpha as its sync member."""
    await alpha.database.create(A)
    await alpha.database.start_primary(())
    await alpha.database.ensure_slots([B])
    await beta.database.seed(beta.peer, B)
    await beta.database.start_standby(beta.peer, (A,))
    with alpha.session() as session:
        session.execute("create table posts (id int primary key)")
    await alpha.database.set_names((B,))
    await proven(alpha, (B,))


async def proven(site: Site, names: tuple[MemberId, ...]) -> Lsn:
    """B2, tried until the reload has arrived."""
    end = time.monotonic() + 20
    while True:
        try:
            return await site.database.prove_names(names)
        except Exception:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def wait_for(site: Site, query: str) -> None:
    """Until a query answers true."""
    end = time.monotonic() + 20
    while not site.value(query):
        assert time.monotonic() < end, query
        time.sleep(0.03)
