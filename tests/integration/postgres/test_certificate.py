"""The lost-write certificate on real PostgreSQL: what it counts is exactly what was lost (safety C6)."""

from __future__ import annotations

import asyncio
import hashlib
import time
from pathlib import Path

import pytest

from failover.errors import Damaged, Unreachable
from failover.model.certificate import Certificate
from failover.model.record import AcceptedLoss, Timeline
from failover.model.units import MemberId, format_lsn
from tests.integration.postgres.copies import Copy

pytestmark = pytest.mark.timeout(120)
LOSS = AcceptedLoss(epoch=2, run="r", source="alpha_0000000a", target="beta_0000000b", fork_lsn=1, accepted_s=60.0)


def caught_up(alpha: Copy, beta: Copy) -> None:
    """beta has replayed all that alpha wrote."""
    end = time.monotonic() + 20
    with alpha.session() as ahead, beta.session() as behind:
        wanted = ahead.execute("select pg_current_wal_flush_lsn()").fetchall()[0][0]
        while not behind.execute("select pg_last_wal_replay_lsn() >= %s", [wanted]).fetchall()[0][0]:
            assert time.monotonic() < end, "the standby does not follow"
            time.sleep(0.05)


def write(copy: Copy, number: int, *, base: int = 0) -> None:
    """``number`` transactions of one row each."""
    with copy.session() as session:
        session.execute("create table if not exists posts (id int primary key)")
        for one in range(number):
            session.execute("insert into posts values (%s)", [base + one])


def rows(copy: Copy) -> int:
    with copy.session() as session:
        return int(str(session.execute("select count(*) from posts").fetchall()[0][0]))


def lose(alpha: Copy, beta: Copy, number: int) -> int:
    """Commit ``number`` rows that beta never gets, kill alpha, promote beta. Returns the fork."""
    asyncio.run(beta.database.stop(clean=True, budget_s=10.0))
    write(alpha, number, base=10_000)
    alpha.kill()
    asyncio.run(promote(beta))
    return asyncio.run(beta.database.facts()).fork_lsn


async def promote(copy: Copy) -> None:
    await copy.database.start_standby(None, ())
    await copy.database.promote((Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=0)))


def test_thousands_of_lost_commits_are_counted_one_by_one(copies: tuple[Copy, Copy]) -> None:
    alpha, beta = copies
    write(alpha, 100)
    caught_up(alpha, beta)
    fork = lose(alpha, beta, 3000)
    assert fork > 0 and rows(beta) == 100
    wal = alpha.files.data / "pg_wal"
    last = max(path.name for path in wal.iterdir() if len(path.name) == 24)
    ahead = [wal / f"{int(last, 16) + number:024X}" for number in (1, 2, 3)]  # segments that nothing was written to yet
    for path in ahead[:2]:
        path.write_bytes(bytes((wal / last).stat().st_size))
    ahead[2].touch()
    saved = asyncio.run(alpha.database.save_evidence(fork, LOSS))
    assert saved.commits == saved.lost_commits == 3000
    assert saved.fork_lsn == format_lsn(fork) and saved.wal_bytes > 3000 * 64
    assert saved.intact and saved.accepted == LOSS
    kept = Path(saved.folder)
    assert not {path.name for path in ahead} & {one.name for one in saved.files}
    for one in saved.files:
        assert hashlib.sha256((kept / one.name).read_bytes()).hexdigest() == one.sha256
    assert kept.stat().st_mode & 0o777 == 0o700 and (kept / "certificate.json").stat().st_mode & 0o077 == 0

    # Counting from another place gives another number: the count is of the WAL, not of what was hoped for.
    fewer = asyncio.run(alpha.database.save_evidence(fork + 64 * 1024, LOSS))
    assert 0 < fewer.commits < 3000


def test_it_outlives_the_rewind_and_is_made_once(copies: tuple[Copy, Copy]) -> None:
    alpha, beta = copies
    write(alpha, 10)
    with alpha.session() as session:
        session.execute("checkpoint")  # a rewind begins at the last one that both have
    caught_up(alpha, beta)
    fork = lose(alpha, beta, 40)
    first = asyncio.run(alpha.database.save_evidence(fork, None))
    assert (first.commits, first.lost_commits) == (40, 0), "without an accepted loss nobody was told that they are in"

    async def rejoin() -> Certificate:
        await beta.database.ensure_slots(["alpha_0000000c"])
        assert await alpha.database.rewind(alpha.upstream, MemberId("alpha_0000000c"))
        await alpha.database.start_standby(alpha.upstream, ())
        return next(one for one in alpha.database.certificates())

    assert asyncio.run(rejoin()) == first
    caught_up(beta, alpha)
    assert rows(alpha) == 10

    async def cut_off() -> Certificate:
        """A rewind that was cut off has changed the WAL: what was counted before stays."""
        await alpha.database.stop(clean=False, budget_s=5.0)
        alpha.files.put_member("alpha_0000000a")
        return await alpha.database.save_evidence(fork, None)

    assert asyncio.run(cut_off()) == first


def test_nothing_past_the_fork_is_nothing_lost(copies: tuple[Copy, Copy]) -> None:
    alpha, beta = copies
    write(alpha, 10)
    caught_up(alpha, beta)

    async def planned() -> Certificate:
        await alpha.database.stop(clean=True, budget_s=10.0)
        await beta.database.stop(clean=True, budget_s=10.0)
        await promote(beta)
        return await alpha.database.save_evidence((await beta.database.facts()).fork_lsn, LOSS)

    assert asyncio.run(planned()).commits == 0


def test_a_running_database_has_no_end_and_a_changed_certificate_is_damaged(copies: tuple[Copy, Copy]) -> None:
    alpha, beta = copies
    write(alpha, 10)
    caught_up(alpha, beta)
    with pytest.raises(Unreachable, match="runs"):
        asyncio.run(alpha.database.save_evidence(1, LOSS))
    fork = lose(alpha, beta, 5)
    saved = asyncio.run(alpha.database.save_evidence(fork, LOSS))
    path = Path(saved.folder) / "certificate.json"
    path.write_text(path.read_text().replace('"commits": 5', '"commits": 0'))
    with pytest.raises(Damaged, match="changed"):
        alpha.database.certificates()
