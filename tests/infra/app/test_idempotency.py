"""A write happens once however often it is asked for; no answer comes from a row on one copy only (safety A1, A2)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from tests.infra.app.processes import AppProcess, Background, Person, Start, eventually, one

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def standby_missing(sql: Connection) -> Iterator[None]:
    """Every commit waits for a standby that does not exist; the test's own session does not."""
    sql.execute("SET synchronous_commit = local")
    sql.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    sql.execute("SELECT pg_reload_conf()")
    eventually(lambda: _fresh_names(sql) == "nobody")
    try:
        yield
    finally:
        _standby_is_back(sql)


def _fresh_names(sql: Connection) -> object:
    with psycopg.connect(sql.info.dsn, autocommit=True) as other:
        return one(other, "SHOW synchronous_standby_names")


def _standby_is_back(sql: Connection) -> None:
    sql.execute("ALTER SYSTEM RESET synchronous_standby_names")
    sql.execute("SELECT pg_reload_conf()")
    eventually(lambda: _fresh_names(sql) == "")


def _waiting(sql: Connection) -> list[int]:
    rows = sql.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND datname = current_database()")
    return [int(str(pid)) for (pid,) in rows]


def test_a_repeated_key_gets_the_first_answer_and_the_repetition_writes_wal(app: AppProcess, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    first = ada.post("once", key="k-1", client_id="c-1")
    assert "idempotent-replay" not in first.headers
    before = one(sql, "SELECT pg_current_wal_insert_lsn()")
    snapshot = one(sql, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")
    again = ada.post("once", key="k-1", client_id="c-1")
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replay"] == "true"
    assert one(sql, f"SELECT pg_current_wal_insert_lsn() > '{before}'::pg_lsn") is True
    assert one(sql, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint") == int(str(snapshot)) + 1
    assert one(sql, "SELECT count(*) FROM posts") == 1
    assert one(sql, "SELECT seen FROM idempotency WHERE key = 'c:k-1'") == 2


def test_every_write_replays(app: AppProcess) -> None:
    ada, bob = Person(app.client).arrive(), Person(app.client).arrive()
    post = ada.post().json()["id"]
    png = b"\x89PNG\r\n\x1a\n" + b"x" * 100
    calls = [
        ("PUT", f"/api/posts/{post}/like", {}), ("DELETE", f"/api/posts/{post}/like", {}),
        ("PUT", f"/api/follows/{ada.name}", {}), ("DELETE", f"/api/follows/{ada.name}", {}),
        ("POST", "/api/media", {"content": png, "headers": {"content-type": "image/png"}}),
        ("PUT", "/api/timeline/seen", {}), ("DELETE", "/api/sessions", {}),
    ]  # fmt: skip
    for number, (method, path, more) in enumerate(calls):
        first, again = (bob.call(method, path, key=f"k{number}", **dict(more)) for _ in range(2))
        assert first.status_code in (200, 201), (path, first.text)
        assert (again.status_code, again.content) == (first.status_code, first.content), path
        assert "idempotent-replay" not in first.headers, path
        assert again.headers["idempotent-replay"] == "true", path


def test_signing_up_and_in_replay_without_a_stored_secret(app: AppProcess, sql: Connection) -> None:
    body = {"name": "grace", "password": "correct horse"}
    for path, table in (("/api/accounts", "accounts"), ("/api/sessions", "sessions")):
        first, again = (app.client.post(path, json=body, headers={"idempotency-key": "one"}) for _ in range(2))
        assert first.status_code == 201
        assert (again.status_code, again.content) == (first.status_code, first.content)
        assert again.headers["idempotent-replay"] == "true"
        assert one(sql, f"SELECT count(*) FROM {table}") == 1
        other = app.client.post(path, json={**body, "password": "battery staple"}, headers={"idempotency-key": "one"})
        assert other.status_code == (422 if table == "accounts" else 401)


def test_a_key_belongs_to_one_request_and_to_one_account(app: AppProcess, sql: Connection) -> None:
    ada, bob = Person(app.client).arrive(), Person(app.client).arrive()
    assert ada.post("one", key="same").status_code == 201
    reused = ada.post("two", key="same")
    assert (reused.status_code, reused.json()["error"]["code"]) == (422, "key-reused")
    assert bob.post("two", key="same").status_code == 201
    assert one(sql, "SELECT count(*) FROM posts") == 2
    for bad in ("x" * 201, "a\tb"):
        assert ada.post("three", key=bad).status_code == 400


def test_writes_without_a_key_are_separate_writes(app: AppProcess, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    assert ada.post("same").json()["id"] != ada.post("same").json()["id"]
    assert one(sql, "SELECT count(*) FROM posts") == 2


def test_many_duplicates_at_once_are_one_post(app: AppProcess, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    crowd = [Background(ada, "stampede", "k") for _ in range(20)]
    answers = {one.result().content for one in crowd}
    assert len(answers) == 1
    assert one(sql, "SELECT count(*) FROM posts") == 1
    assert one(sql, "SELECT seen FROM idempotency WHERE key = 'c:k'") == 20


def test_a_cut_wait_for_the_standby_is_no_acknowledgement(
    app: AppProcess, sql: Connection, request: pytest.FixtureRequest
) -> None:
    ada = Person(app.client).arrive()
    request.getfixturevalue("standby_missing")
    asked = Background(ada, "on one copy only", "k")
    (pid,) = eventually(lambda: _waiting(sql))
    sql.execute("SELECT pg_cancel_backend(%s)", [pid])
    # The row is visible now, the server said INSERT 0 1 with warning 01000, and the app must go on waiting.
    eventually(lambda: one(sql, "SELECT count(*) FROM posts") == 1)
    eventually(lambda: [other for other in _waiting(sql) if other != pid])
    assert not asked.done
    _standby_is_back(sql)
    assert asked.result().status_code == 201
    assert one(sql, "SELECT count(*) FROM posts") == 1
    assert app.client.get("/health").json()["retried"] >= 1


def test_a_duplicate_after_a_terminated_commit_waits_too(
    app: AppProcess, sql: Connection, request: pytest.FixtureRequest
) -> None:
    ada = Person(app.client).arrive()
    request.getfixturevalue("standby_missing")
    first = Background(ada, "ambiguous", "k")
    (pid,) = eventually(lambda: _waiting(sql))
    sql.execute("SELECT pg_terminate_backend(%s)", [pid])
    eventually(lambda: one(sql, "SELECT count(*) FROM posts") == 1)
    second = Background(ada, "ambiguous", "k")
    eventually(lambda: _waiting(sql))
    time.sleep(0.3)
    assert not first.done
    assert not second.done
    _standby_is_back(sql)
    assert first.result().content == second.result().content
    assert second.result().status_code == 201
    assert one(sql, "SELECT count(*) FROM posts") == 1


def test_out_of_budget_is_503_and_the_key_finds_out_later(
    start: Start, dsn: str, sql: Connection, request: pytest.FixtureRequest
) -> None:
    app = start({"alpha": dsn}, APP_BUDGET_S="0.5")
    ada = Person(app.client).arrive()
    request.getfixturevalue("standby_missing")
    asked = Background(ada, "late", "k")
    answer = asked.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert 0.4 < asked.seconds < 3.0
    _standby_is_back(sql)
    later = ada.post("late", key="k")
    assert (later.status_code, later.headers["idempotent-replay"]) == (201, "true")
    assert one(sql, "SELECT count(*) FROM posts") == 1


def test_sessions_terminated_under_load_lose_and_double_nothing(app: AppProcess, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    for number in range(60):
        if number % 10 == 5:
            sql.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND application_name = 'social-app'"
            )
        assert ada.post("x", client_id=str(number)).status_code == 201
    assert one(sql, "SELECT count(*) FROM posts") == 60
    assert one(sql, "SELECT count(DISTINCT client_id) FROM posts") == 60
