"""Restored copies of a real database: at a time, and never a member of anything."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from failover.adapters.postgres import LocalPostgres
from failover.adapters.postgres_config import control_values
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.processes import DetachedProcesses
from failover.data.further import Further, ways
from failover.data.restore import restore
from failover.errors import Refused
from failover.model.observation import DatabaseFacts
from failover.model.record import Record, Timeline
from failover.model.units import MemberId
from failover.planner.keeper import KeeperFacts, decide
from failover.planner.keeper_actions import Idle, Swap
from tests.integration.snapshots.conftest import FLEET, PLACES, SPEC, World
from tests.integration.snapshots.test_shipping import restored_rows, shipping, write

pytestmark = pytest.mark.long
PROCESSES = DetachedProcesses()


def moment(world: World) -> datetime:
    """Now, by the server's clock."""
    with world.alpha.session() as session:
        row = session.execute("select clock_timestamp()").fetchone()
    assert row is not None and isinstance(row[0], datetime)
    return row[0].astimezone(UTC)


def test_to_a_time(world: World) -> None:
    times: list[datetime] = []
    taken: list[str] = []

    def work() -> int:
        taken.append(world.take().manifest.id)
        write(world.alpha, 100_000)
        times.append(moment(world))
        end = write(world.alpha, 200_000)
        times.append(moment(world))
        return end

    shipping(world, world.alpha.source, work)
    assert restored_rows(world, taken[0], Further(timeline=1, moment=times[0])) == 20_100
    with pytest.raises(Refused, match="no transaction ended after"):
        restored_rows(world, taken[0], Further(timeline=1, moment=times[1] + timedelta(hours=1)))
    # What was refused goes on in the same folder to another end.
    assert restored_rows(world, taken[0], Further(timeline=1)) == 20_200
    found = asyncio.run(
        ways(
            FLEET, world.alpha.source.facts().system_identifier, world.reader(), (1,),
            segment_bytes=16 << 20, into=world.folder / "ways",
        )
    )  # fmt: skip
    assert [stretch.timeline for stretch in found[1]] == [1]


def replicas(world: World) -> set[str]:
    with world.alpha.session() as session:
        found = session.execute("select application_name from pg_stat_replication").fetchall()
    return {str(name) for (name,) in found}


def restored(world: World) -> Path:
    """A lasting copy of a snapshot of the standby, and while it ran nobody new was connected to the primary."""
    taken = world.take()
    before = replicas(world)
    during: list[set[str]] = []
    into = world.folder / "copy"
    asyncio.run(
        restore(
            world.catalog().chain(taken.manifest.id), world.reader(), world.scratch(), into,
            look=lambda: during.append(replicas(world)),
        )
    )  # fmt: skip
    assert during == [before] and before
    return into


def test_a_restored_copy_is_never_a_member(world: World) -> None:
    copy = restored(world)
    for name in ("standby.signal", "recovery.signal", "backup_label", "postmaster.pid"):
        assert not (copy / name).exists()
    assert (copy / "postgresql.auto.conf").read_text() == ""
    assert not list((copy / "pg_replslot").iterdir())
    config = (copy / "postgresql.conf").read_text()
    assert "primary_conninfo = ''" in config and "synchronous_standby_names = ''" in config
    assert "listen_addresses = ''" in config

    # Somebody puts it where a host of the fleet has its database, and starts the host's keeper over it.
    host = world.folder / "gamma"
    (host / "run").mkdir(parents=True)
    files = PostgresFiles(
        host_dir=host, site="gamma", address=PLACES["beta"], spec=SPEC, peers=[world.alpha.here]
    )
    copy.rename(files.data)
    facts = asyncio.run(LocalPostgres(files, PROCESSES).facts())
    assert (facts.state, facts.member) == ("stopped", "")
    assert facts.system_identifier == world.alpha.source.facts().system_identifier  # so it could be taken for one
    for primary in ("gamma_0000000c", "alpha_0000000a"):
        action = decide(_keeper(facts, primary))
        # Left alone, or given up to be made anew under another id; never started, never named by the record.
        assert isinstance(action, Idle | Swap), action
        if isinstance(action, Swap):
            assert action.new.primary == "alpha_0000000a" and action.new.sync == ("beta_0000000b",)

    # And its timeline is one that the fleet never had.
    done = PROCESSES.run(("pg_controldata", str(files.data)), environment={"LC_ALL": "C"}, deadline_s=60.0)
    assert control_values(done.output)["Latest checkpoint's TimeLineID"] != "1"


def _keeper(db: DatabaseFacts, primary: str) -> KeeperFacts:
    record = Record(
        epoch=3, revision=30, primary=MemberId(primary), sync=(MemberId("beta_0000000b"),),
        timelines=(Timeline(tli=1, fork_lsn=0),), flushed_lsn=100, system_identifier=db.system_identifier,
    )  # fmt: skip
    return KeeperFacts(
        site="gamma", record=record, db=db, providers={"alpha": "n", "beta": "s", "gamma": "w"}, upstream_ready=True
    )


def test_the_negative_control(world: World) -> None:
    """The same bytes with identity and connection left in do become a standby that the primary counts."""
    assert "beta_0000000b" in replicas(world)
    with psycopg.connect(
        host=PLACES["beta"], port=SPEC.port, user="keeper", password="k", dbname="app", autocommit=True
    ) as session:
        row = session.execute("show primary_conninfo").fetchone()
    assert row is not None and "application_name=beta_0000000b" in str(row[0])


