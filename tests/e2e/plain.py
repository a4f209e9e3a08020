"""The social app as an app that is not ours (class G3): no gate of its own, and it runs where the primary is."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg

from failover.config.fleet import load_fleet
from tests.e2e.harness import LocalFleet


def plain_text(text: str) -> str:
    """A local fleet's file with its app declared as class G3, by the schema of the file alone."""
    changes = (
        (r"\n  class: G1\n", "\n  class: G3\n"),
        (r"\n    streams: \[\]\n", "\n    streams: [/api/events]\n"),
        (r"\n      start: always\n", "\n      start: when_primary\n"),
        (r"\n      gate: true\n", "\n      gate: false\n"),
        (r"\n      port: 9002\n", "\n      port: 9002\n      start: when_primary\n"),
        (r"(infra\.app\.worker\]\n)", r"\1      start: when_primary\n"),
    )
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text)
        assert count == 1, pattern
    return text


def plain_workload(text: str) -> str:
    """Beside its requests: streams held open, and an upload of eight seconds begun every two."""
    beside = """streams:
  - method: GET
    path: /api/events
    accept: [200]
    clients: 4

uploads:
  - method: POST
    path: /api/media
    headers: {Authorization: "Bearer {token}", Idempotency-Key: "{id}", Content-Type: image/gif}
    begins: GIF89a
    size_bytes: 200000
    takes: 8s
    every: 2s
    accept: [201]

"""
    before, mark, after = text.partition("# Headers of an answer that name the primary")
    assert mark
    return before + beside + mark + after


def plain_fleet(one: LocalFleet) -> None:
    """``init``, and the app declared anew."""
    one.init()
    one.file.write_text(plain_text(one.file.read_text()))
    workload = one.folder / "workload.yaml"
    workload.write_text(plain_workload(workload.read_text()))
    one.run("validate")


def without_hold(text: str) -> str:
    """The same file with the app in class G4: nobody holds its requests."""
    for old, new in (("\n  class: G3\n", "\n  class: G4\n"), ("\n    streams: [/api/events]\n", "\n    streams: []\n")):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class Scheduled:
    """Posts that are due while a move is under way, published by the worker: how often each of them was, by the count
    of a trigger that no statement of the app can make idempotent."""

    def __init__(self, one: LocalFleet) -> None:
        self._one = one
        self._fleet = load_fleet(one.file)
        self.posts: list[str] = []

    def count_from_now(self) -> None:
        """Have the primary note every post that turns from waiting to published."""
        with primary_sql(self._one) as sql:
            sql.execute("""
                CREATE TABLE IF NOT EXISTS turned_public (post uuid, delay interval);
                CREATE OR REPLACE FUNCTION note_turn() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
                  BEGIN INSERT INTO turned_public VALUES (new.id, now() - new.publish_at); RETURN new; END $$;
                CREATE OR REPLACE TRIGGER note_turn AFTER UPDATE OF published_at ON posts FOR EACH ROW
                  WHEN (old.published_at IS NULL AND new.published_at IS NOT NULL) EXECUTE FUNCTION note_turn()""")

    def schedule(self, *, first_s: float, every_s: float, count: int) -> None:
        """One post each ``every_s``, the first due in ``first_s``."""
        site = self._fleet.data_sites[0]
        name, words = f"clock_{time.time_ns():x}"[:30], {"password": "a password for nobody else"}
        with httpx.Client(base_url=f"http://{site.address}:{site.ports.edge}", timeout=60) as app:
            app.post("/api/accounts", json={"name": name, **words}).raise_for_status()
            token = app.post("/api/sessions", json={"name": name, **words}).raise_for_status().json()["token"]
            now = datetime.now(UTC)
            for number in range(count):
                due = (now + timedelta(seconds=first_s + number * every_s)).isoformat()
                made = app.post(
                    "/api/posts",
                    json={"body": f"due {number}", "publish_at": due},
                    headers={"Authorization": f"Bearer {token}"},
                )
                self.posts.append(made.raise_for_status().json()["id"])

    def times_published(self, *, deadline_s: float = 60.0) -> list[int]:
        """For each of them, once all are published (or the deadline has passed)."""
        end = time.monotonic() + deadline_s
        while True:
            with primary_sql(self._one) as sql:
                rows = sql.execute("SELECT post::text, count(*) FROM turned_public GROUP BY 1").fetchall()
            counted = {str(post): int(times) for post, times in rows}
            times = [counted.get(post, 0) for post in self.posts]
            if all(times) or time.monotonic() > end:
                return times
            time.sleep(0.2)


def primary_sql(one: LocalFleet, *, name: str = "test") -> psycopg.Connection[tuple[Any, ...]]:
    """A session at the site that the record names now, past everything that holds requests."""
    site = load_fleet(one.file).site(one.status()["record"]["primary"].split("_")[0])
    password = (one.state / "trust" / "keeper_password").read_text().strip()
    return psycopg.connect(
        host=site.address, port=site.ports.postgres, user="keeper", password=password, dbname="app", autocommit=True,
        application_name=name,
    )  # fmt: skip
