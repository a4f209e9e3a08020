"""Two or three real PostgreSQLs, kept by the product's own adapter, with a history of what they acknowledged.

A case breaks one law in them; the independent checker of histories judges, and ``findings`` holds what an auditor sees
that no history shows. Nothing is faked here: processes die by SIGKILL, copies stream, promotions promote.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import psycopg

from failover.adapters.postgres import LocalPostgres
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.processes import DetachedProcesses
from failover.model.observation import DatabaseFacts
from failover.model.record import Record, Timeline
from failover.model.spec import DatabaseSpec
from failover.model.units import MemberId
from failover.ports.database import Upstream
from tests.history.check import Line, violations

SPEC = DatabaseSpec(
    port=5432, database="app", app_password="a", replication_password="r", keeper_password="k",
    settings={"fsync": "off", "shared_buffers": "16MB", "max_connections": "30", "max_wal_size": "64MB"},
)  # fmt: skip
SITES = ("alpha", "beta", "gamma")
_NETWORK = "127.149.77"
_TABLE = "create table rows (id text primary key, n int not null, seen int not null default 1)"


def now_s() -> float:
    """The clock of the history."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def member_of(site: str) -> MemberId:
    """The id of a site's first copy."""
    return MemberId(f"{site}_0000000{SITES.index(site) + 1}")


class Copy:
    """One site's PostgreSQL. ``database`` is what a keeper holds in its hand."""

    def __init__(self, folder: Path, site: str) -> None:
        self.site = site
        self.folder = folder / site
        self.address = f"{_NETWORK}.{SITES.index(site) + 1}"
        for name in ("run", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self.processes = DetachedProcesses()
        peers = [Upstream(site=one, address=f"{_NETWORK}.{SITES.index(one) + 1}", port=SPEC.port) for one in SITES]
        self.files = PostgresFiles(host_dir=self.folder, site=site, address=self.address, spec=SPEC, peers=peers)
        self.database = LocalPostgres(self.files, self.processes)
        self.member = member_of(site)
        self.upstream = Upstream(site=site, address=self.address, port=SPEC.port)

    async def connect(self, dbname: str = "postgres") -> psycopg.AsyncConnection[tuple[object, ...]]:
        return await psycopg.AsyncConnection.connect(
            f"host={self.address} port={SPEC.port} user=keeper password=k dbname={dbname} connect_timeout=2",
            autocommit=True,
        )

    async def ask(self, query: str) -> list[tuple[object, ...]]:
        """Rows of one statement in a session of its own."""
        connection = await self.connect()
        try:
            cursor = await connection.execute(query.encode())
            return await cursor.fetchall() if cursor.description else []
        finally:
            await connection.close()

    def tree(self) -> list[int]:
        """The postmaster and its children."""
        handle = self.database._server.handle()
        if handle is None:
            return []
        children = Path(f"/proc/{handle.pid}/task/{handle.pid}/children").read_text().split()
        return [handle.pid, *map(int, children)]

    def child(self, title: str) -> int:
        """The pid of one process of the server by its title, e.g. "checkpointer"."""
        return next(pid for pid in self.tree() if title.encode() in Path(f"/proc/{pid}/cmdline").read_bytes())

    def signal(self, number: signal.Signals) -> None:
        for pid in self.tree():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    async def crash(self) -> None:
        """SIGKILL of all of it at one instant."""
        tree = self.tree()
        self.signal(signal.SIGSTOP)
        for pid in [*tree, *self.tree()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await self.database._session.close()
        while self.tree():
            await asyncio.sleep(0.01)
        self.database._server._kill_strays()
        _reap()


class World:
    """``a`` is primary with ``b`` in its names unless a case says otherwise; ``record`` is the fleet's."""

    def __init__(self, folder: Path, template: Path) -> None:
        self.folder = folder
        self._template = template
        self.copies: list[Copy] = []
        self.history: list[Line] = []
        self.findings: list[str] = []
        self._operations = itertools.count(1)
        self._open: list[psycopg.AsyncConnection[tuple[object, ...]]] = []
        self.epoch = 1
        self.record = Record(
            epoch=1, revision=10, primary=member_of("alpha"), sync=(member_of("beta"),),
            timelines=(Timeline(tli=1, fork_lsn=0),),
        )  # fmt: skip

    @cached_property
    def a(self) -> Copy:
        """The primary at first."""
        return self._copy("alpha")

    @cached_property
    def b(self) -> Copy:
        """Its standby."""
        return self._copy("beta")

    @cached_property
    def c(self) -> Copy:
        """A third copy, for the few cases that need one; ask for it before ``start``."""
        return self._copy("gamma")

    def _copy(self, site: str) -> Copy:
        (self.folder / site).mkdir(parents=True)
        duplicate(self._template, self.folder / site / "postgres")
        copy = Copy(self.folder, site)
        copy.files.put_member(copy.member)
        self.copies.append(copy)
        return copy

    async def start(self, *, names: Sequence[str] | None = None, standbys: Sequence[Copy] = ()) -> None:
        """a as primary, b (and more) as its standbys, streaming; names proven in force as a keeper does."""
        following = tuple(dict.fromkeys((self.b, *standbys)))
        wanted = (self.b.member,) if names is None else tuple(names)
        self.serving = self.a
        await self.a.database.start_primary(())
        await self.a.database.ensure_slots([copy.member for copy in self.copies if copy is not self.a])
        for copy in following:
            await copy.database.start_standby(self.a.upstream, (self.a.member,))
        for copy in following:
            await self.streams(copy)
        await self.set_names(wanted)
        facts = await self.a.database.facts()
        self.record = self.record.next(system_identifier=facts.system_identifier, sync=wanted)
        self.see_record()

    async def set_names(self, names: Sequence[str]) -> None:
        """Configured, loaded, proven."""
        await self.a.database.set_names(names)
        await eventually(lambda: self._proven(names))

    async def _proven(self, names: Sequence[str]) -> bool:
        try:
            await self.a.database.prove_names(names)
        except Exception:  # noqa: BLE001 - not loaded yet; the caller's time is limited
            return False
        return True

    async def streams(self, copy: Copy, *, at: Copy | None = None) -> None:
        """Wait until ``copy`` streams from ``at`` and has all of it."""

        async def there() -> bool:
            facts = await (at or self.a).database.facts()
            rows = {row.application_name: row for row in facts.replicas if row.state == "streaming"}
            return copy.files.member in rows and rows[copy.files.member].flush_lsn >= facts.position

        await eventually(there)

    # --- what clients do -------------------------------------------------------------------------------------------

    async def write(
        self, number: int, *, at: Copy | None = None, within_s: float = 0.6, how: str = "", cancel: bool = False
    ) -> bool:
        """Whether the client was told that its row is stored. One that hears nothing hangs on to its session."""
        copy, row, op = at or self.serving, f"k.{number}", next(self._operations)
        began = now_s()
        if not any(line.get("id") == row for line in self.history):
            self.history.append({"e": "invoke", "op": op, "kind": "write", "key": "k", "n": number, "id": row,
                                 "t": began})  # fmt: skip
        else:
            op = next(line["op"] for line in self.history if line.get("id") == row)
        connection = await copy.connect()
        self._open.append(connection)
        statement = f"insert into rows (id, n) values ('{row}', {number}) {how}"
        task = asyncio.create_task(connection.execute(statement.encode()))
        done, _ = await asyncio.wait([task], timeout=within_s)
        if not done and cancel:
            connection.cancel()
            done, _ = await asyncio.wait([task], timeout=within_s)
        task.add_done_callback(lambda one: one.cancelled() or one.exception())
        if not done or task.exception() is not None:
            return False
        self.acknowledged(op, copy, tried=began)
        return True

    def acknowledged(self, op: int, copy: Copy, *, tried: float) -> None:
        """The client was told yes."""
        self.history.append({"e": "return", "op": op, "ok": True, "tried": tried, "t": now_s(), "site": copy.site,
                             "epoch": self.epoch})  # fmt: skip

    async def read(self, *, at: Copy | None = None) -> list[int]:
        """What a client is shown now."""
        copy, op, began = at or self.serving, next(self._operations), now_s()
        rows = await copy.ask("select n from rows order by n")
        seen = [int(str(row[0])) for row in rows]
        self.history.append({"e": "invoke", "op": op, "kind": "read", "key": "k", "t": began})
        self.history.append({"e": "return", "op": op, "ok": True, "tried": began, "t": now_s(), "site": copy.site,
                             "epoch": self.epoch, "seen": seen, "window": 1000})  # fmt: skip
        return seen

    # --- what the fleet does ---------------------------------------------------------------------------------------

    def see_record(self, record: Record | None = None) -> None:
        """The record is now this."""
        self.record = record or self.record
        self.history.append({"e": "record", "revision": self.record.revision, "epoch": self.record.epoch,
                             "primary": self.record.primary, "sync": list(self.record.sync), "t": now_s()})  # fmt: skip

    async def promote(self, copy: Copy, *, sync: Sequence[MemberId] = (), names: Sequence[str] = ()) -> None:
        """The record names ``copy``, and its PostgreSQL leaves recovery with ``names``."""
        facts = await copy.database.facts()
        fork = Timeline(tli=len(self.record.timelines) + 1, fork_lsn=facts.position)
        new = self.record.next(
            epoch=self.record.epoch + 1, primary=copy.member, sync=tuple(sync),
            timelines=(*self.record.timelines, fork),
        )  # fmt: skip
        self.see_record(new)
        if facts.names != tuple(names):
            await copy.database.set_names(names)
        await copy.database.promote(new.timelines)
        self.epoch, self.serving = new.epoch, copy

    async def verdict(self, copy: Copy | None = None) -> list[str]:
        """Everything the checker and the auditor say, with ``copy`` (where writes go by then) as the final state."""
        rows = await (copy or self.serving).ask("select id from rows")
        return [*violations(self.history, [{"id": str(row[0])} for row in rows]), *self.findings]

    async def end(self) -> None:
        """No process of this world is left."""
        for connection in self._open:
            connection.pgconn.finish()
        for copy in self.copies:
            copy.signal(signal.SIGCONT)
            await copy.crash()
            await copy.database._session.close()


def duplicate(source: Path, target: Path) -> None:
    """A data directory as it lies there. cp, because a thousand small files are slow from Python."""
    subprocess.run(["cp", "-a", str(source), str(target)], check=True, timeout=60)


async def eventually(check: object, *, within_s: float = 10.0) -> None:
    """Until the awaited ``check()`` is true."""
    assert callable(check)
    end = time.monotonic() + within_s
    while not await check():
        assert time.monotonic() < end, f"not within {within_s} s: {check}"
        await asyncio.sleep(0.03)


def stopped(facts: DatabaseFacts) -> bool:
    """No server runs."""
    return facts.state in ("stopped", "absent")


async def make_template(folder: Path) -> Path:
    """One data directory that every copy of every case begins as: same system, same rows, cleanly stopped."""
    first = Copy(folder, "alpha")
    await first.database.create(first.member)
    await first.database.start_primary(())
    await first.ask(_TABLE)
    assert await first.database.stop(clean=True, budget_s=20.0)
    await first.database._session.close()
    _reap()
    return first.files.data


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
