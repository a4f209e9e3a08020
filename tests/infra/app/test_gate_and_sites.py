"""The gate in real processes: hold, release, freshness, and a move to another PostgreSQL with requests on their way."""

from __future__ import annotations

import signal
import stat
import time
from pathlib import Path

import psycopg
import pytest

from tests.infra.app.processes import (
    AppProcess,
    Background,
    GateLine,
    Person,
    Postgres,
    Start,
    eventually,
    name_in,
    one,
)

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def gated(start: Start, dsn: str, second_dsn: str) -> AppProcess:
    return start({"alpha": dsn, "beta": second_dsn}, gate=True)


def _same_person_at(first: str, second: str) -> None:
    """What replication would have done: accounts and sessions of the first server on the second."""
    with psycopg.connect(first) as source, psycopg.connect(second) as target:
        for table in ("accounts", "sessions"):
            rows = source.execute(f"SELECT t::text FROM {table} t".encode()).fetchall()
            for (row,) in rows:
                target.execute(f"INSERT INTO {table} SELECT (%s::{table}).*".encode(), [row])


def test_starts_closed_and_says_so(gated: AppProcess) -> None:
    assert gated.client.get("/health").json()["gate"]["state"] == "hold"
    assert gated.client.get("/ready").status_code == 503
    assert gated.socket_path is not None
    assert stat.S_IMODE(gated.socket_path.stat().st_mode) == 0o600
    with GateLine(gated) as agent:
        assert agent.say(ask=True) == {"state": "hold", "primary": "", "epoch": 0, "in_flight": 0, "waiting": 0}
        assert agent.open("alpha", 1)["state"] == "open"
        assert gated.client.get("/ready").status_code == 200


def test_bad_lines_are_answered_and_change_nothing(gated: AppProcess) -> None:
    with GateLine(gated) as agent:
        agent.open("alpha", 4)
        for line in (b"nonsense", b"[]", b'{"state":"ajar"}', b'{"epoch":"x","state":"open"}', b"{}"):
            assert "error" in agent.say_raw(line), line
        assert agent.open("alpha", 3) == {"error": "stale epoch", "epoch": 4}
        assert agent.say(ask=True)["state"] == "open"


def test_a_hold_stops_reads_and_writes_and_the_release_loses_none(gated: AppProcess, sql: Connection) -> None:
    with GateLine(gated) as agent:
        agent.open("alpha", 1)
        ada = Person(gated.client).arrive()
        held = agent.say(state="hold", primary="alpha", epoch=1, wait_s=1.0)
        assert (held["state"], held["in_flight"]) == ("hold", 0)
        before = one(sql, "SELECT pg_current_wal_insert_lsn()")
        asked = [Background(ada, f"held {number}") for number in range(8)]
        eventually(lambda: agent.say(ask=True)["waiting"] == 8)
        assert one(sql, f"SELECT pg_current_wal_insert_lsn() = '{before}'::pg_lsn") is True
        agent.open("alpha", 1)
        assert [ask.result().status_code for ask in asked] == [201] * 8
        assert one(sql, "SELECT count(*) FROM posts") == 8


def test_a_hold_waits_for_what_is_in_flight_and_no_longer(gated: AppProcess, sql: Connection, dsn: str) -> None:
    with GateLine(gated) as agent, psycopg.connect(dsn) as blocker:
        agent.open("alpha", 1)
        ada = Person(gated.client).arrive()
        blocker.execute("LOCK TABLE posts IN EXCLUSIVE MODE")
        asked = Background(ada, "blocked")
        eventually(lambda: agent.say(ask=True)["in_flight"] == 1)
        began = time.monotonic()
        assert agent.say(state="hold", primary="alpha", epoch=1, wait_s=0.2)["in_flight"] == 1
        assert 0.15 < time.monotonic() - began < 3.0
        blocker.rollback()
        assert agent.say(state="hold", primary="alpha", epoch=1, wait_s=5.0)["in_flight"] == 0
        assert asked.result().status_code == 201


def test_a_gate_nobody_refreshes_closes_itself(start: Start, dsn: str) -> None:
    app = start({"alpha": dsn}, gate=True, APP_BUDGET_S="0.4")
    with GateLine(app) as agent:
        agent.open("alpha", 1, for_s=3.0)
        ada = Person(app.client).arrive()
        agent.open("alpha", 1, for_s=0.1)
        time.sleep(0.15)
        for answer in (ada.post(), ada.call("GET", "/api/timeline")):
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert app.client.get("/ready").status_code == 503
        agent.open("alpha", 1)
        assert ada.post().status_code == 201


def test_a_planned_move_answers_every_held_request_at_the_new_primary(
    gated: AppProcess, dsn: str, second_dsn: str, sql: Connection
) -> None:
    with GateLine(gated) as agent, psycopg.connect(second_dsn, autocommit=True) as second:
        agent.open("alpha", 1)
        ada = Person(gated.client).arrive()
        _same_person_at(dsn, second_dsn)
        assert ada.post("at alpha").status_code == 201
        assert agent.say(state="hold", primary="alpha", epoch=1, wait_s=1.0)["in_flight"] == 0
        asked = [Background(ada, f"moved {number}") for number in range(10)]
        eventually(lambda: agent.say(ask=True)["waiting"] == 10)
        agent.open("beta", 2)
        assert [ask.result().status_code for ask in asked] == [201] * 10
        assert one(sql, "SELECT count(*) FROM posts") == 1
        assert one(second, "SELECT count(*) FROM posts") == 10
        assert agent.open("alpha", 1) == {"error": "stale epoch", "epoch": 2}


def test_a_frozen_primary_lets_go_of_its_requests_when_the_gate_moves(
    gated: AppProcess, postgres: Postgres, dsn: str, second_dsn: str
) -> None:
    with GateLine(gated) as agent, psycopg.connect(second_dsn, autocommit=True) as second:
        agent.open("alpha", 1)
        ada = Person(gated.client).arrive()
        _same_person_at(dsn, second_dsn)
        postgres.freeze()
        try:
            asked = [Background(ada, f"caught {number}", f"k{number}") for number in range(10)]
            eventually(lambda: agent.say(ask=True)["in_flight"] >= 4)
            time.sleep(0.3)
            assert not any(ask.done for ask in asked)
            began = time.monotonic()
            agent.open("beta", 2)
            assert [ask.result().status_code for ask in asked] == [201] * 10
            assert time.monotonic() - began < 3.0
        finally:
            postgres.thaw()
        assert one(second, "SELECT count(*) FROM posts") == 10
        assert gated.client.get("/health").json()["abandoned"] >= 4
        assert gated.gate(ask=True)["in_flight"] == 0


def test_a_primary_that_dies_and_comes_back_is_used_again_at_once(start: Start, tmp_path: Path) -> None:
    (tmp_path / "third").mkdir()
    with Postgres(tmp_path / "third", host="127.81.0.3") as third:
        target = third.new_app_database()
        app = start({"alpha": target})
        ada = Person(app.client).arrive()
        third.stop()
        asked = [Background(ada, "while away", f"k{number}", client_id=str(number)) for number in range(6)]
        time.sleep(0.3)
        assert not any(ask.done for ask in asked)
        third.start()
        back = time.monotonic()
        assert [ask.result().status_code for ask in asked] == [201] * 6
        assert time.monotonic() - back < 2.0
        assert app.log().count("no connection to alpha") == 1


def test_starts_with_every_database_dead(start: Start) -> None:
    app = start({"alpha": "host=127.81.0.77 port=1 dbname=x user=x"}, gate=True)
    assert app.client.get("/health").status_code == 200
    assert app.log().count("no connection to alpha") <= 1


def test_sigterm_answers_what_is_in_flight_and_ends_within_two_seconds(start: Start, dsn: str) -> None:
    app = start({"alpha": dsn}, gate=True)
    with GateLine(app) as agent, psycopg.connect(dsn) as blocker:
        agent.open("alpha", 1)
        ada = Person(app.client).arrive()
        blocker.execute("LOCK TABLE posts IN EXCLUSIVE MODE")
        asked = [Background(ada, "in flight"), Background(ada, "in flight too")]
        eventually(lambda: agent.say(ask=True)["in_flight"] == 2)
        began = time.monotonic()
        app.signal(signal.SIGTERM)
        time.sleep(0.3)
        blocker.rollback()
        for ask in asked:
            assert ask.result().status_code == 201
            assert ask.result().headers["connection"] == "close"
        assert app.wait() == 0
        assert time.monotonic() - began < 3.0
    assert app.socket_path is not None
    assert not app.socket_path.exists()


def test_sigterm_turns_away_what_cannot_be_answered(start: Start, dsn: str) -> None:
    app = start({"alpha": dsn}, gate=True)
    with GateLine(app) as agent:
        agent.open("alpha", 1)
        ada = Person(app.client).arrive()
        agent.say(state="hold", primary="alpha", epoch=1)
        asked = Background(ada, "held")
        eventually(lambda: agent.say(ask=True)["waiting"] == 1)
        began = time.monotonic()
        app.signal(signal.SIGTERM)
        assert asked.result().status_code == 503
        assert app.wait() == 0
        assert time.monotonic() - began < 3.0


def test_a_standby_is_connected_beforehand_and_used_the_moment_it_is_promoted(
    start: Start, tmp_path: Path, postgres: Postgres, dsn: str
) -> None:
    (tmp_path / "standby").mkdir()
    with postgres.seed_standby(tmp_path / "standby", host="127.81.0.4") as standby:
        target = standby.dsn(name_in(dsn))
        app = start({"alpha": dsn, "beta": target}, gate=True)
        with GateLine(app) as agent, psycopg.connect(target, autocommit=True) as there:
            agent.open("alpha", 1)
            ada = Person(app.client).arrive()
            eventually(lambda: one(there, "SELECT count(*) FROM sessions") == 1)
            eventually(lambda: app.client.get("/health").json()["pools"]["beta"]["idle"] >= 4)
            agent.open("beta", 2)
            asked = Background(ada, "too early", "k")
            eventually(lambda: app.client.get("/health").json()["retried"] >= 2)
            assert not asked.done
            there.execute("SELECT pg_promote()")
            assert asked.result(2).status_code == 201
            assert one(there, "SELECT count(*) FROM posts") == 1
