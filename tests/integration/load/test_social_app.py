"""The shipped workload against the real app and a real PostgreSQL, and the negative controls of the checker."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg
import pytest

from failover.load.check import Query, compare, read_back
from failover.load.workload_file import load_workload
from infra.app import migrate
from tests.infra.app.processes import AppProcess, Postgres, free_port
from tests.integration.load.driving import driving, ledger_of
from tests.integration.load.parts import ROOT

WORKLOAD = load_workload(ROOT / "stacks" / "workload.yaml")


@pytest.fixture(scope="module")
def dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Postgres(tmp_path_factory.mktemp("postgres"), host="127.84.0.20") as server:
        found = server.new_database()
        migrate.migrate(found, migrate.migrations())
        yield found


def query_of(connection: psycopg.Connection[tuple[str, ...]]) -> Query:
    def query(sql: str, values: Mapping[str, str]) -> list[str]:
        return [row[0] for row in connection.execute(sql.encode(), values).fetchall()]

    return query


def test_the_checker_sees_exactly_what_was_removed_from_and_added_to_the_primary(tmp_path: Path, dsn: str) -> None:
    app = AppProcess(
        module="infra.app", databases={"alpha": dsn}, folder=tmp_path, port=free_port("127.81.0.9"), gate=False, more={}
    )
    try:
        app.start()
        with driving(tmp_path, target=app.url, workload=WORKLOAD, login_budget_s=40.0, attempt_s=3.0) as load:
            time.sleep(1.5)
            finished = load.stop()
    finally:
        app.kill()
    ledger = ledger_of(tmp_path)
    assert finished.errors == 0
    assert len(ledger.writes) > 40
    with psycopg.connect(dsn, autocommit=True) as connection:
        query = query_of(connection)
        found = compare(ledger, read_back(WORKLOAD.read_back, run="itest", query=query))
        assert (found.lost, found.duplicated, found.unknown) == ((), (), ())
        assert found.acknowledged == len(ledger.writes)

        gone = sorted(write.id for write in ledger.writes)[3:6]
        twice = sorted(write.id for write in ledger.writes)[7]
        connection.execute("DELETE FROM fanout WHERE post IN (SELECT id FROM posts WHERE client_id = ANY(%s))", [gone])
        connection.execute("DELETE FROM posts WHERE client_id = ANY(%s)", [gone])
        copy = "INSERT INTO posts (id, author, body, client_id, created_at, published_at) "
        same = "SELECT gen_random_uuid(), author, body, client_id, created_at, published_at "
        same += "FROM posts WHERE client_id = %s"
        connection.execute((copy + same).encode(), [twice])
        other = same.replace("client_id, created_at", "'itest.w9999999', created_at")
        connection.execute((copy + other).encode(), [sorted(write.id for write in ledger.writes)[0]])

        found = compare(ledger, read_back(WORKLOAD.read_back, run="itest", query=query))
    assert found.lost == tuple(gone)
    assert found.duplicated == (twice,)
    assert found.unknown == ("itest.w9999999",)
    assert found.unacknowledged_but_present == ()
