"""The record in one SQLite file: unit tests and a quick start on one machine. No provider survives in it.

What must never be here: anything a fleet of several hosts would rely on.

Leases expire by CLOCK_BOOTTIME and are void after a restart of the machine (the boot id is kept beside them).
"""

from __future__ import annotations

import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from failover.adapters.record_value import (
    LeaseValue,
    check_not_rolled_back,
    decode_lease,
    decode_record,
    encode_lease,
    encode_record,
)
from failover.errors import Damaged, FailoverError, LeaseHeld, LeaseLost, Unreachable
from failover.model.record import Record, illegal
from failover.model.units import utc_text
from failover.ports.record import Lease, LeaseView

_SCHEMA = """
CREATE TABLE IF NOT EXISTS record (only INTEGER PRIMARY KEY CHECK (only = 1), value BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS lease (name TEXT PRIMARY KEY, token TEXT NOT NULL, value BLOB NOT NULL,
    boot TEXT NOT NULL, expires_s REAL NOT NULL) STRICT;
"""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_POLL_S = 0.02
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class SqliteRecordStore:
    """``RecordStore`` in the file ``path``. Safe for threads and processes: every call opens its own connection."""

    def __init__(
        self,
        *,
        path: Path,
        boottime: Callable[[], float] = _boottime,
        sleep: Callable[[float], None] = time.sleep,
        boot_id: str = "",
    ) -> None:
        self._path = path
        self._now = boottime
        self._sleep = sleep
        self._boot = boot_id or _BOOT_ID.read_text("ascii").strip()
        self._seen = (0, 0)
        with self._open(5.0) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(_SCHEMA)
        path.chmod(0o600)

    def read(self, *, deadline_s: float) -> Record | None:
        """See the port."""
        seen = self._seen
        with self._open(deadline_s) as connection:
            record = self._stored(connection)
        check_not_rolled_back(seen=seen, record=record, where=str(self._path))
        if record is not None:
            self._seen = max(self._seen, (record.epoch, record.revision))
        return record

    def create(self, record: Record, *, lease: Lease, deadline_s: float) -> bool:
        """See the port."""
        fault = illegal(None, record)
        if fault:
            raise ValueError(fault)
        with self._change(deadline_s) as connection:
            self._require(connection, lease)
            content = encode_record(record)
            done = connection.execute("INSERT OR IGNORE INTO record VALUES (1, ?)", (content,))
            return done.rowcount == 1

    def swap(self, *, expected_revision: int, new: Record, lease: Lease, deadline_s: float) -> bool:
        """See the port."""
        with self._change(deadline_s) as connection:
            self._require(connection, lease)
            before = self._stored(connection)
            if before is None or before.revision != expected_revision:
                return False
            fault = illegal(before, new)
            if fault:
                raise ValueError(fault)
            connection.execute("UPDATE record SET value = ?", (encode_record(new),))
            return True

    def acquire(self, *, name: str, owner: str, ttl_s: float, deadline_s: float) -> Lease:
        """See the port."""
        value = LeaseValue(owner=owner, since=utc_text(datetime.now(UTC)), ttl_s=ttl_s)
        with self._change(deadline_s) as connection:
            view = self._holder(connection, name)
            if view is not None:
                raise LeaseHeld(
                    f"the lease {name!r} is held by {view.owner} since {view.since}",
                    where=str(self._path),
                    hint="wait for that run to end; when its process is gone the lease expires by itself",
                )
            # A lease that was given back left no row; one that ran out did.
            row = connection.execute("SELECT value FROM lease WHERE name = ?", (name,)).fetchone()
            old = None if row is None else decode_lease(row[0], where=str(self._path))
            after = None if old is None else LeaseView(name=name, owner=old.owner, since=old.since)
            lease = Lease(name=name, owner=owner, token=secrets.token_hex(8), ttl_s=ttl_s, after=after)
            connection.execute(
                "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?)",
                (name, lease.token, encode_lease(value), self._boot, self._now() + ttl_s),
            )
            return lease

    def renew(self, lease: Lease, *, deadline_s: float) -> None:
        """See the port."""
        with self._change(deadline_s) as connection:
            self._require(connection, lease)
            row = (self._now() + lease.ttl_s, lease.name)
            connection.execute("UPDATE lease SET expires_s = ? WHERE name = ?", row)

    def release(self, lease: Lease, *, deadline_s: float) -> None:
        """See the port."""
        with self._change(deadline_s) as connection:
            connection.execute("DELETE FROM lease WHERE name = ? AND token = ?", (lease.name, lease.token))

    def holder(self, *, name: str, deadline_s: float) -> LeaseView | None:
        """See the port."""
        with self._open(deadline_s) as connection:
            return self._holder(connection, name)

    def wait_change(self, *, after_revision: int, timeout_s: float) -> Record | None:
        """See the port. Asks SQLite's own change counter, which costs no read of the table."""
        end = self._now() + timeout_s
        with self._open(timeout_s) as connection:
            counter: object = None
            while True:
                now: object = connection.execute("PRAGMA data_version").fetchone()[0]
                if now != counter:
                    counter = now
                    record = self._stored(connection)
                    if record is not None and record.revision > after_revision:
                        return record
                if self._now() >= end:
                    return None
                self._sleep(_POLL_S)

    def close(self) -> None:
        """Nothing is kept open."""

    @contextmanager
    def _open(self, deadline_s: float) -> Iterator[sqlite3.Connection]:
        connection = None
        try:
            connection = sqlite3.connect(self._path, timeout=deadline_s, isolation_level=None)
            yield connection
        except sqlite3.Error as error:
            raise self._told(error) from error
        finally:
            if connection is not None:
                connection.close()

    @contextmanager
    def _change(self, deadline_s: float) -> Iterator[sqlite3.Connection]:
        """One transaction that holds the write lock from its start: nothing read in it can change before it ends."""
        with self._open(deadline_s) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _stored(self, connection: sqlite3.Connection) -> Record | None:
        row = connection.execute("SELECT value FROM record").fetchone()
        return None if row is None else decode_record(row[0], where=str(self._path))

    def _holder(self, connection: sqlite3.Connection, name: str) -> LeaseView | None:
        row = connection.execute("SELECT value, boot, expires_s FROM lease WHERE name = ?", (name,)).fetchone()
        if row is None or row[1] != self._boot or row[2] <= self._now():
            return None
        value = decode_lease(row[0], where=str(self._path))
        return LeaseView(name=name, owner=value.owner, since=value.since)

    def _require(self, connection: sqlite3.Connection, lease: Lease) -> None:
        row = connection.execute("SELECT token, boot, expires_s FROM lease WHERE name = ?", (lease.name,)).fetchone()
        if row is None or row[0] != lease.token or row[1] != self._boot or row[2] <= self._now():
            raise LeaseLost(f"the lease {lease.name!r} of {lease.owner} is gone", where=str(self._path))

    def _told(self, error: sqlite3.Error) -> FailoverError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _DAMAGE:
            return Damaged(f"the record's file is damaged: {error}", where=str(self._path))
        return Unreachable(f"the record's file cannot be used: {error}", where=str(self._path))
