"""What a snapshot is taken from: PostgreSQL's own ``pg_basebackup``, and what it says over SQL."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from failover.adapters import postgres_walstream
from failover.adapters.postgres_config import KEEPER_ROLE, REPLICATION_ROLE
from failover.adapters.postgres_digests import digests
from failover.adapters.postgres_sql import TIMELINE
from failover.adapters.programs import command_line
from failover.errors import Unreachable
from failover.model.snapshot import Digests
from failover.model.units import Lsn, format_lsn
from failover.ports.snapshot_source import SourceFacts

_FACTS = f"""
select (select system_identifier::text from pg_control_system()),
  {TIMELINE.format(recovering="pg_is_in_recovery()")},
  pg_is_in_recovery(),
  pg_wal_lsn_diff(case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end,
                  '0/0')::bigint,
  current_setting('server_version'),
  pg_size_bytes(current_setting('wal_segment_size')),
  current_setting('summarize_wal')::bool,
  (select sum(pg_database_size(oid))::bigint from pg_database)
"""
_SLOT = """
select case when wal_status <> 'lost' then pg_wal_lsn_diff(restart_lsn, '0/0')::bigint end
from pg_replication_slots where slot_name = %s
"""
_ADVANCE = """
select pg_replication_slot_advance(slot_name, till.lsn) from pg_replication_slots,
  (select least(%s::pg_lsn, case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
    else pg_current_wal_flush_lsn() end) as lsn) as till
where slot_name = %s and not active and wal_status <> 'lost' and restart_lsn < till.lsn
"""
_REPLAY_S = 30.0
_SUMMARIES = "select min(pg_wal_lsn_diff(start_lsn, '0/0'))::bigint from pg_available_wal_summaries() where tli = %s"


class ProgramOutput:
    """Implements ``ports.snapshot_source.ByteStream`` with a child process."""

    def __init__(self, command: tuple[str, ...], environment: dict[str, str]) -> None:
        arguments, extra = command_line(command, as_database=False)
        self._name = command[0]
        descriptor, name = tempfile.mkstemp(prefix="failover-words-")
        os.unlink(name)
        self._words = os.fdopen(descriptor, "w+b")
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env={**os.environ, **extra, **environment},
            start_new_session=True,
        )

    def read(self, size: int) -> bytes:
        """See the port."""
        assert self._process.stdout is not None
        data = self._process.stdout.read(size)
        if not data:
            status = self._process.wait()
            if status != 0:
                self._words.seek(0)
                said = self._words.read().decode(errors="replace").strip()[-400:]
                raise Unreachable(f"{self._name} ended with {status}: {said}")
        return data

    def close(self) -> None:
        """See the port."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._words.close()


class PostgresSource:
    """Implements ``ports.snapshot_source.SnapshotSource``. ``passfile`` knows both roles' passwords; ``name`` is what
    the server shows, never a member's. ``upstream``: address and port of the primary, when this is a standby."""

    def __init__(
        self,
        *,
        address: str,
        port: int,
        passfile: Path,
        name: str,
        database: str,
        upstream: tuple[str, int] | None = None,
    ) -> None:
        place = f"host={address} port={port} passfile={passfile} connect_timeout=5 application_name={name}"
        self._replication = f"{place} user={REPLICATION_ROLE}"
        self._sql = f"{place} user={KEEPER_ROLE}"
        self._database = database
        self._upstream = upstream
        self._passfile = passfile

    def facts(self) -> SourceFacts:
        """See the port."""
        with self._session() as session:
            row = session.execute(_FACTS.encode()).fetchone()
            assert row is not None
            identifier, timeline, recovering, position, version, segment, summarizing, size = row
            first = session.execute(_SUMMARIES, [timeline]).fetchone() if summarizing else None
        return SourceFacts(
            system_identifier=str(identifier),
            timeline=int(str(timeline)),
            recovering=bool(recovering),
            position=int(str(position)),
            version=str(version),
            wal_segment_bytes=int(str(segment)),
            summaries_from=int(str(first[0])) if first is not None and first[0] is not None else None,
            size_bytes=int(str(size)),
        )

    @contextlib.contextmanager
    def _session(self) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
        try:
            with psycopg.connect(f"{self._sql} dbname=postgres", autocommit=True) as session:
                yield session
        except psycopg.Error as error:
            raise Unreachable(f"PostgreSQL did not answer: {error}") from error

    def backup(self, *, parent_list: bytes) -> ProgramOutput:
        """See the port."""
        command = ["pg_basebackup", "-D", "-", "-Ft", "-X", "fetch", "-c", "fast", "--no-password"]
        command += ["-d", self._replication]
        if not parent_list:
            return ProgramOutput(tuple(command), {"LC_ALL": "C"})
        self._move_on()
        # Read whole before the first byte of output, but it has to be a file until then.
        with tempfile.NamedTemporaryFile(prefix="failover-parent-", delete=False) as file:
            file.write(parent_list)
        return _WithFile((*command, f"--incremental={file.name}"), {"LC_ALL": "C"}, Path(file.name))

    def _move_on(self) -> None:
        """A backup of a standby begins at its last restartpoint, and an incremental one is refused when that lies
        before its parent's end: on a quiet fleet there is none since. So a checkpoint of the primary's is made."""
        with self._session() as session:
            if self._upstream is not None:
                address, port = self._upstream
                place = f"host={address} port={port} passfile={self._passfile} connect_timeout=5 user={KEEPER_ROLE}"
                with psycopg.connect(f"{place} dbname=postgres", autocommit=True) as primary:
                    primary.execute("checkpoint")
                    reached = primary.execute("select pg_current_wal_flush_lsn()").fetchone()
                _await_replay(session, reached)
            session.execute("checkpoint")

    def digests(self) -> tuple[Digests, ...]:
        """See the port."""
        try:
            return digests(f"{self._sql} dbname={self._database}", database=self._database)
        except psycopg.OperationalError as error:
            raise Unreachable(f"PostgreSQL did not answer: {error}") from error

    def wal(self, *, timeline: int, start: Lsn, slot: str = "") -> postgres_walstream.PostgresWalStream:
        """See the port."""
        return postgres_walstream.PostgresWalStream(self._replication, timeline=timeline, start=start, slot=slot)

    def history(self, timeline: int) -> bytes:
        """See the port."""
        return postgres_walstream.history(self._replication, timeline) if timeline > 1 else b""

    def ensure_slot(self, slot: str) -> Lsn | None:
        """See the port."""
        with self._session() as session:
            session.execute(
                "select pg_create_physical_replication_slot(%s, true) where not exists "
                "(select from pg_replication_slots where slot_name = %s)",
                [slot, slot],
            )
            row = session.execute(_SLOT, [slot]).fetchone()
        return int(str(row[0])) if row is not None and row[0] is not None else None

    def advance_slot(self, slot: str, lsn: Lsn) -> None:
        """See the port."""
        with self._session() as session:
            session.execute(_ADVANCE.encode(), [format_lsn(lsn), slot])

    def drop_slot(self, slot: str) -> None:
        """See the port."""
        with self._session() as session:
            session.execute(
                "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = %s", [slot]
            )


def _await_replay(session: psycopg.Connection[tuple[object, ...]], reached: tuple[object, ...] | None) -> None:
    until_s = time.monotonic() + _REPLAY_S
    while time.monotonic() < until_s:
        row = session.execute("select pg_last_wal_replay_lsn() >= %s::pg_lsn", reached).fetchone()
        if row is not None and row[0] is not False:
            return
        time.sleep(0.02)
    raise Unreachable(f"the standby did not replay a checkpoint within {_REPLAY_S:.0f} s")


class _WithFile(ProgramOutput):
    """Removes the file it was given when it is over."""

    def __init__(self, command: tuple[str, ...], environment: dict[str, str], file: Path) -> None:
        self._file = file
        super().__init__(command, environment)

    def close(self) -> None:
        super().close()
        self._file.unlink(missing_ok=True)
