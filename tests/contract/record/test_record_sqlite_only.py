"""What only the file can suffer."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from failover.adapters.record_sqlite import SqliteRecordStore
from failover.errors import Damaged, LeaseLost, Unreachable
from failover.model.record import Record
from failover.model.units import MemberId

FIRST = Record(epoch=0, revision=1, primary=MemberId("alpha_00000001"))


def test_a_restarted_machine_holds_no_lease(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    before = SqliteRecordStore(path=path, boottime=lambda: 9000.0, boot_id="one")
    lease = before.acquire(name="fleet", owner="me", ttl_s=3600, deadline_s=1)
    assert before.create(FIRST, lease=lease, deadline_s=1)
    after = SqliteRecordStore(path=path, boottime=lambda: 5.0, boot_id="two")
    assert after.holder(name="fleet", deadline_s=1) is None
    with pytest.raises(LeaseLost):
        after.swap(expected_revision=1, new=FIRST.next(), lease=lease, deadline_s=1)
    assert after.read(deadline_s=1) == FIRST


def test_a_locked_file_is_unreachable(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    store = SqliteRecordStore(path=path)
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unreachable, match="locked"):
            store.acquire(name="fleet", owner="me", ttl_s=5, deadline_s=0.05)
        other.execute("ROLLBACK")
    other.close()


def test_a_damaged_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    path.write_bytes(b"this is no database" * 500)
    with pytest.raises(Damaged):
        SqliteRecordStore(path=path)


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "record.db"
    SqliteRecordStore(path=path)
    assert path.stat().st_mode & 0o077 == 0
