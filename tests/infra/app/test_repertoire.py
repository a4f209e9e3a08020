"""Connections to the standby are readied for what the process asks: planned there, never run there."""

from __future__ import annotations

from typing import LiteralString

import psycopg

from infra.app.repertoire import MOST_STATEMENTS, Repertoire
from tests.infra.app.processes import GateLine, Person, Start, eventually


def test_keeps_the_statements_asked_last() -> None:
    repertoire = Repertoire()
    texts: list[LiteralString] = ["select 1", "select 2"]
    for text in texts:
        repertoire.note(text, {"x": 1})
    repertoire.note("select 1", {"x": 2})
    assert dict(repertoire.unknown_to(set())) == {"select 1": {"x": 2}, "select 2": {"x": 1}}
    assert [statement for statement, _ in repertoire.unknown_to({"select 1"})] == ["select 2"]


def test_never_keeps_more_than_its_share() -> None:
    repertoire = Repertoire()
    for number in range(MOST_STATEMENTS + 5):
        repertoire.note(f"select {number}", {})  # type: ignore[arg-type]  # built here from a number
    kept = [statement for statement, _ in repertoire.unknown_to(set())]
    assert len(kept) == MOST_STATEMENTS
    assert "select 0" not in kept
    assert f"select {MOST_STATEMENTS + 4}" in kept


def test_the_standby_plans_the_writes_of_the_process_and_runs_none(start: Start, dsn: str, second_dsn: str) -> None:
    gated = start({"alpha": dsn, "beta": second_dsn}, gate=True)
    with GateLine(gated) as agent, psycopg.connect(second_dsn, autocommit=True) as second:
        agent.open("alpha", 1)
        ada = Person(gated.client).arrive()
        assert ada.post("hello", key="k1").status_code == 201

        def planned() -> bool:
            agent.open("alpha", 1)
            rows = second.execute(
                "select query from pg_stat_activity "
                "where application_name = 'social-app' and datname = current_database()"
            ).fetchall()
            return any(str(query).startswith("EXPLAIN") and "INSERT INTO posts" in str(query) for (query,) in rows)

        eventually(planned)
        count = second.execute("select count(*) from posts").fetchone()
        assert count == (0,)
