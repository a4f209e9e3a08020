"""The worker: writes without a request. Fan-out, scheduled posts, pruning; a statement a batch, behind the same gate.

Exactly once in effect: what marks the work as done is in the same statement as the work, so a worker killed at any
instant, or two workers at once, deliver each row once. Must never be here: a timer that writes past the gate.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import LiteralString

import psycopg
import uvloop

from infra.app import log
from infra.app.database import Database
from infra.app.gate import Gate, Unavailable
from infra.app.gate_server import GateServer
from infra.app.media_copy import keep_adopting, keep_copying, keep_purging
from infra.app.media_stores import stores_of
from infra.app.settings import Settings, SettingsError, read

BATCH = 100
FAILURE_PAUSE_S = 1.0

_log = logging.getLogger("infra.app.worker")  # run as a program, its __name__ says nothing

FAN_OUT: LiteralString = """
WITH batch AS (
  SELECT post, author, published_at FROM fanout ORDER BY post LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), taken AS (
  DELETE FROM fanout USING batch WHERE fanout.post = batch.post
), delivered AS (
  INSERT INTO timeline (account, published_at, post)
  SELECT reader.account, batch.published_at, batch.post FROM batch CROSS JOIN LATERAL (
    SELECT follower AS account FROM follows WHERE followed = batch.author UNION SELECT batch.author) reader
  ON CONFLICT DO NOTHING RETURNING account
), counted AS (
  INSERT INTO inbox AS i (account, unread) SELECT account, count(*) FROM delivered GROUP BY account ORDER BY account
  ON CONFLICT (account) DO UPDATE SET unread = i.unread + excluded.unread
)
SELECT count(*) FROM batch"""

PUBLISH: LiteralString = """
WITH due AS (
  SELECT id FROM posts WHERE published_at IS NULL AND publish_at <= now()
  ORDER BY publish_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), published AS (
  UPDATE posts SET published_at = now() FROM due WHERE posts.id = due.id RETURNING posts.id, author, published_at
), queued AS (
  INSERT INTO fanout (post, author, published_at) SELECT id, author, published_at FROM published
)
SELECT count(*) FROM due"""

PRUNE_KEYS: LiteralString = """
WITH old AS (
  SELECT scope, key FROM idempotency WHERE expires_at < now() ORDER BY expires_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), gone AS (DELETE FROM idempotency i USING old WHERE i.scope = old.scope AND i.key = old.key)
SELECT count(*) FROM old"""

PRUNE_SESSIONS: LiteralString = """
WITH old AS (
  SELECT id FROM sessions WHERE expires_at < now() - interval '1 day'
  ORDER BY expires_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), gone AS (DELETE FROM sessions s USING old WHERE s.id = old.id)
SELECT count(*) FROM old"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duty:
    """A statement repeated while it finds full batches, then every `every_s`, slowing to `idle_s` when all is quiet."""

    name: str
    statement: LiteralString
    every_s: float
    idle_s: float
    batch: int = BATCH


DUTIES = (
    Duty(name="fan-out", statement=FAN_OUT, every_s=0.05, idle_s=0.4),
    Duty(name="publish", statement=PUBLISH, every_s=0.5, idle_s=0.5),
    Duty(name="prune keys", statement=PRUNE_KEYS, every_s=10.0, idle_s=60.0, batch=1000),
    Duty(name="prune sessions", statement=PRUNE_SESSIONS, every_s=60.0, idle_s=600.0, batch=1000),
)


async def perform(database: Database, duty: Duty, stopping: asyncio.Event) -> None:
    """Do one duty until told to stop. A failure is logged once and tried again; a closed gate is waited out."""
    pause_s = duty.every_s
    told: str | None = ""
    while not stopping.is_set():
        try:
            done = await _batch(database, duty, {"batch": duty.batch})
            if done >= duty.batch:
                continue
            pause_s = duty.every_s if done else min(2 * pause_s, duty.idle_s)
        except Unavailable:
            # The gate is closed or the database away; the pools and the gate have already said so.
            pause_s = duty.every_s
        except psycopg.Error as failure:
            if failure.sqlstate != told:
                _log.error("%s fails: %s, sqlstate %s", duty.name, type(failure).__name__, failure.sqlstate)
            told, pause_s = failure.sqlstate, FAILURE_PAUSE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stopping.wait()


async def _batch(database: Database, duty: Duty, parameters: Mapping[str, object]) -> int:
    rows = await database.run(duty.statement, parameters)
    return int(rows[0][0])


async def work(settings: Settings) -> None:
    """Run every duty behind the gate until SIGTERM."""
    gate = Gate(sites=tuple(settings.databases), standing_open=settings.gate_socket is None)
    database = Database(settings, gate)
    stopping = asyncio.Event()

    def stop() -> None:
        stopping.set()
        asyncio.get_running_loop().call_later(1.0, database.give_up)

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    async with database:
        if settings.gate_socket is None:
            await _perform_all(database, settings, stopping)
            return
        async with GateServer(gate, settings.gate_socket):
            await _perform_all(database, settings, stopping)


async def _perform_all(database: Database, settings: Settings, stopping: asyncio.Event) -> None:
    stores = stores_of(settings)
    async with asyncio.TaskGroup() as group:
        for duty in DUTIES:
            group.create_task(perform(database, duty, stopping))
        if stores is not None:
            group.create_task(keep_adopting(stores, settings.media_dir, stopping))
            group.create_task(keep_copying(database, stores, stopping))
            group.create_task(keep_purging(database, stores, stopping, after_s=settings.media_tombstone_s))


def main() -> int:
    try:
        settings = read()
    except SettingsError as failure:
        log.set_up(process="worker", level="WARNING")
        _log.error("%s", failure)
        return 2
    log.set_up(process="worker", level=settings.log_level)
    # A worker needs at most one connection for each duty; two stay open.
    duties = len(DUTIES) + (2 if settings.media_stores else 0)
    uvloop.run(work(replace(settings, pool_min=min(2, settings.pool_min), pool_max=duties)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
