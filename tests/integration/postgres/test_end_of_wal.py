"""What a stopped copy says it has is what it had flushed, on real PostgreSQL; a disk that went back shows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover.adapters.postgres_wal import last_end, record_end
from tests.integration.postgres.pair import Site, protected, wait_for

SEGMENT = 4 * 1024 * 1024


@pytest.fixture
def sites(tmp_path: Path) -> Iterator[tuple[Site, Site]]:
    alpha, beta = Site(tmp_path, "alpha"), Site(tmp_path, "beta")
    try:
        yield alpha, beta
    finally:
        alpha.kill()
        beta.kill()


def position(site: Site) -> int:
    facts = asyncio.run(site.database.facts())
    assert facts.state == "stopped"
    return facts.position


def test_a_killed_copy_ends_where_it_had_flushed(sites: tuple[Site, Site]) -> None:
    alpha, beta = sites
    asyncio.run(protected(alpha, beta))
    with alpha.session() as session:
        for row in range(200):
            session.execute("insert into posts select %s + g * 1000 from generate_series(1, 20) g", [row])
        session.execute("checkpoint")
        session.execute("insert into posts values (1)")
    flushed = alpha.flushed()
    wait_for(beta, f"select pg_last_wal_receive_lsn() - '0/0'::pg_lsn >= {flushed}")
    kept_until = position_after_kill(beta)
    assert kept_until >= flushed
    alpha.kill()
    wal = alpha.files.data / "pg_wal"
    last = max(path.name for path in wal.iterdir() if len(path.name) == 24)
    for number in range(1, 9):  # made ahead of their time, as checkpoints do: which is read first is the disk's choice
        (wal / f"{int(last, 16) + number:024X}").write_bytes(bytes(SEGMENT))
    ended = position(alpha)
    assert flushed <= ended <= flushed + SEGMENT

    kept = alpha.keep_disk()
    asyncio.run(alpha.database.start_primary(()))
    with alpha.session() as session:
        session.execute("select pg_switch_wal()")
        session.execute("insert into posts select g + 1000000 from generate_series(1, 50000) g")
    later = alpha.flushed()
    assert position_after_kill(alpha) >= later > ended
    alpha.put_disk_back(kept)
    assert position(alpha) == ended, "a disk that went back in time shows"


def position_after_kill(site: Site) -> int:
    site.kill()
    return position(site)


def test_a_clean_stop_ends_behind_its_checkpoint_without_starting_a_program(sites: tuple[Site, Site]) -> None:
    alpha, beta = sites
    asyncio.run(protected(alpha, beta))
    flushed = alpha.flushed()
    assert asyncio.run(alpha.database.stop(clean=True, budget_s=10.0))
    facts = asyncio.run(alpha.database.facts())
    assert facts.clean_shutdown and facts.position >= flushed
    received = int(str(beta.value("select coalesce(pg_last_wal_receive_lsn(), '0/0') - '0/0'::pg_lsn")))
    assert facts.checkpoint_lsn < received <= facts.position, "it never looks behind what its standby has of it"


def test_one_that_waited_as_a_standby_is_as_clean_as_it_was(sites: tuple[Site, Site]) -> None:
    """Its agent may be killed meanwhile: what the move has to know is read from the files once more."""
    alpha, beta = sites
    asyncio.run(protected(alpha, beta))
    assert asyncio.run(alpha.database.stop(clean=True, budget_s=10.0))
    stopped = asyncio.run(alpha.database.facts())
    asyncio.run(alpha.database.start_standby(beta.here, ()))
    wait_for(alpha, "select pg_is_in_recovery()")
    assert asyncio.run(alpha.database.stop(clean=True, budget_s=10.0))
    waited = asyncio.run(alpha.database.facts())
    assert waited.clean_shutdown
    assert waited.checkpoint_lsn == stopped.checkpoint_lsn


def test_a_standby_that_received_more_than_its_checkpoint_is_not_clean(sites: tuple[Site, Site]) -> None:
    """Negative: one row behind the checkpoint, and who asked for no more than the checkpoint would lose it."""
    alpha, beta = sites
    asyncio.run(protected(alpha, beta))
    with alpha.session() as session:
        session.execute("checkpoint")
        session.execute("insert into posts values (1)")
    wait_for(beta, f"select pg_last_wal_replay_lsn() - '0/0'::pg_lsn >= {alpha.flushed()}")
    assert asyncio.run(beta.database.stop(clean=True, budget_s=10.0))
    assert not asyncio.run(beta.database.facts()).clean_shutdown


@pytest.mark.parametrize(
    ("start", "total", "end"),
    [
        (0x1000028, 114, 0x1000028 + 120),
        (0x1001FF8, 8, 0x1002000),
        (0x1001FF8, 16, 0x1002000 + 24 + 8),
        (SEGMENT - 8, 16, SEGMENT + 40 + 8),
        (0x1000100, 20000, 0x1000100 + 20000 + 2 * 24),
    ],
)
def test_headers_of_pages_are_counted(start: int, total: int, end: int) -> None:
    assert record_end(start, total, segment_bytes=SEGMENT) == end


def test_a_switch_ends_its_segment_and_silence_is_no_position() -> None:
    said = "rmgr: XLOG   len (rec/tot):     24/    24, tx:      0, lsn: 0/01500060, prev 0/01500028, desc: SWITCH"
    assert last_end(said, segment_bytes=SEGMENT) == 0x1800000
    assert last_end("pg_waldump: error: could not find a valid record", segment_bytes=SEGMENT) == 0
