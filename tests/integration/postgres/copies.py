"""Copies of a database on real PostgreSQL, handled as their keepers would."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from failover.adapters.postgres import LocalPostgres
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.processes import DetachedProcesses, kill_tree
from failover.model.spec import DatabaseSpec
from failover.model.units import MemberId
from failover.ports.database import Upstream

SPEC = DatabaseSpec(
    port=5440, database="app", app_password="a", replication_password="r", keeper_password="k",
    # Only what the test itself commits is counted.
    settings={"autovacuum": "off"},
)  # fmt: skip
PLACES = {"alpha": "127.160.0.1", "beta": "127.161.0.1"}


class Copy:
    """One site's database; ``places`` has every site's address."""

    def __init__(
        self, folder: Path, site: str, *, places: Mapping[str, str] = PLACES, spec: DatabaseSpec = SPEC
    ) -> None:
        self.site = site
        self.here = Upstream(site=site, address=places[site], port=spec.port)
        self.host_dir = folder / site
        for name in ("run", "log"):
            (self.host_dir / name).mkdir(parents=True)
        peers = [Upstream(site=name, address=at, port=spec.port) for name, at in places.items() if name != site]
        self.files = PostgresFiles(host_dir=self.host_dir, site=site, address=places[site], spec=spec, peers=peers)
        self.database = LocalPostgres(self.files, DetachedProcesses())
        self.upstream = peers[0]

    def session(self) -> psycopg.Connection[tuple[object, ...]]:
        """As the keeper's role, each statement its own transaction."""
        return psycopg.connect(
            host=self.here.address, port=self.here.port, user="keeper", password="k", dbname="app", autocommit=True
        )

    def kill(self) -> None:
        """SIGKILL to the whole server, as a provider does it."""
        path = self.files.data / "postmaster.pid"
        pid = int(path.read_text().split("\n", 1)[0]) if path.exists() else 0
        if pid:
            kill_tree(pid)
            try:
                os.waitpid(pid, 0)
            except ChildProcessError:
                return


@contextmanager
def streaming(alpha: Copy, beta: Copy) -> Iterator[None]:
    """alpha a primary that waits for nobody, beta its streaming standby; both killed afterwards."""

    async def make() -> None:
        await alpha.database.create(MemberId("alpha_0000000a"))
        await alpha.database.start_primary(())
        await alpha.database.ensure_slots(["beta_0000000b"])
        await beta.database.seed(beta.upstream, MemberId("beta_0000000b"))
        await beta.database.start_standby(beta.upstream, ())

    try:
        asyncio.run(make())
        yield
    finally:
        alpha.kill()
        beta.kill()
