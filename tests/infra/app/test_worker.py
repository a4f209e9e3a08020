"""The worker writes without any request, behind the gate, and exactly once however it ends."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime, timedelta

import psycopg

from tests.infra.app.processes import AppProcess, GateLine, Person, Start, eventually, one

Connection = psycopg.Connection[tuple[object, ...]]


def test_posts_reach_followers_and_their_author(app: AppProcess, start: Start, dsn: str) -> None:
    start({"alpha": dsn}, module="infra.app.worker")
    ada, bob, eve = (Person(app.client).arrive() for _ in range(3))
    bob.call("PUT", f"/api/follows/{ada.name}")
    ada.post("to whom it concerns")
    for reader in (ada, bob):
        eventually(lambda reader=reader: len(reader.call("GET", "/api/timeline").json()["posts"]) == 1)
    assert bob.call("GET", "/api/timeline").json()["posts"][0]["body"] == "to whom it concerns"
    assert bob.call("GET", "/api/me").json()["unread"] == 1
    bob.call("PUT", "/api/timeline/seen")
    assert bob.call("GET", "/api/me").json()["unread"] == 0
    assert eve.call("GET", "/api/timeline").json()["posts"] == []


def test_workers_killed_in_the_middle_deliver_each_row_once(
    app: AppProcess, start: Start, dsn: str, sql: Connection
) -> None:
    authors = [Person(app.client).arrive() for _ in range(3)]
    for reader in authors:
        for author in authors:
            if author is not reader:
                reader.call("PUT", f"/api/follows/{author.name}")
    rows = 900
    sql.execute(
        "INSERT INTO posts (id, author, body, created_at, published_at)"
        " SELECT uuidv7(), a.id, 'x', now(), now() FROM accounts a, generate_series(1, %s)",
        [rows // 3],
    )
    sql.execute("INSERT INTO fanout SELECT id, author, published_at FROM posts")
    while one(sql, "SELECT count(*) FROM fanout"):
        before = one(sql, "SELECT count(*) FROM fanout")
        pair = [start({"alpha": dsn}, module="infra.app.worker") for _ in range(2)]
        eventually(lambda before=before: one(sql, "SELECT count(*) FROM fanout") != before, every_s=0.001)
        for worker in pair:
            worker.signal(signal.SIGKILL)
            worker.wait()
    assert one(sql, "SELECT count(*) FROM timeline") == 3 * rows
    assert one(sql, "SELECT sum(unread)::bigint FROM inbox") == 3 * rows


def test_scheduled_posts_appear_once_at_their_time(app: AppProcess, start: Start, dsn: str, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    soon = datetime.now(UTC) + timedelta(seconds=1.0)
    answer = ada.post("later", publish_at=soon.isoformat())
    assert answer.status_code == 201
    assert "publish_at" in answer.json()
    post = answer.json()["id"]
    stranger = Person(app.client)
    assert stranger.call("GET", f"/api/posts/{post}").status_code == 404
    assert ada.call("GET", f"/api/posts/{post}").json()["published_at"] is None
    for _ in range(2):
        start({"alpha": dsn}, module="infra.app.worker")
    eventually(lambda: one(sql, "SELECT unread FROM inbox UNION ALL SELECT 0 ORDER BY 1 DESC LIMIT 1") == 1)
    assert stranger.call("GET", f"/api/posts/{post}").status_code == 200
    assert one(sql, "SELECT published_at >= publish_at FROM posts") is True
    assert one(sql, "SELECT count(*) FROM timeline") == 1


def test_the_worker_obeys_the_gate(app: AppProcess, start: Start, dsn: str, sql: Connection) -> None:
    worker = start({"alpha": dsn}, module="infra.app.worker", gate=True)
    ada = Person(app.client).arrive()
    ada.post("waits")
    with GateLine(worker) as agent:
        eventually(lambda: agent.say(ask=True)["waiting"] >= 1)
        assert one(sql, "SELECT count(*) FROM timeline") == 0
        agent.open("alpha", 1)
        eventually(lambda: one(sql, "SELECT count(*) FROM timeline") == 1)
        assert agent.say(state="hold", primary="alpha", epoch=1, wait_s=1.0)["in_flight"] == 0
        ada.post("waits too")
        time.sleep(0.5)
        assert one(sql, "SELECT count(*) FROM timeline") == 1
        agent.open("alpha", 1)
        eventually(lambda: one(sql, "SELECT count(*) FROM timeline") == 2)
    began = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert time.monotonic() - began < 3.0


def test_old_keys_are_pruned_and_young_ones_kept(app: AppProcess, start: Start, dsn: str, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    ada.post("old", key="old")
    ada.post("young", key="young")
    sql.execute("UPDATE idempotency SET expires_at = now() - interval '1 hour' WHERE key = 'c:old'")
    start({"alpha": dsn}, module="infra.app.worker")
    eventually(lambda: one(sql, "SELECT count(*) FROM idempotency WHERE key = 'c:old'") == 0)
    assert one(sql, "SELECT count(*) FROM idempotency WHERE key = 'c:young'") == 1
