"""What pg_waldump 18 says of transactions that ended, and of anything else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from failover.adapters.postgres_waltime import ended_at

HEAD = "rmgr: Transaction len (rec/tot):     34/    34, tx:        752, lsn: 0/01A2B3C8, prev 0/01A2B390, desc: "


@pytest.mark.parametrize(
    ("desc", "at"),
    [
        ("COMMIT 2026-11-26 02:25:12.123456 UTC", datetime(2026, 11, 26, 2, 25, 12, 123456, tzinfo=UTC)),
        ("COMMIT 2026-11-26 02:25:12 UTC", datetime(2026, 11, 26, 2, 25, 12, tzinfo=UTC)),
        ("ABORT 2026-11-26 02:25:12.5 UTC; rels: base/1/2", datetime(2026, 11, 26, 2, 25, 12, 500000, tzinfo=UTC)),
        ("COMMIT_PREPARED 752: 2026-11-26 02:25:12.000001 UTC", datetime(2026, 11, 26, 2, 25, 12, 1, tzinfo=UTC)),
    ],
)
def test_an_end(desc: str, at: datetime) -> None:
    assert ended_at(HEAD + desc + "\n") == (0x01A2B3C8, at)


@pytest.mark.parametrize("desc", ["PREPARE gid x: 2026-11-26 02:25:12 UTC", "ASSIGNMENT xtop 7", "INVALIDATION"])
def test_no_end(desc: str) -> None:
    assert ended_at(HEAD + desc) is None
