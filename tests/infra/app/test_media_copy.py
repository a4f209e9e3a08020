"""The outbox and the tombstones, on a real database: each row is done once, however the worker ends, and nothing is
purged that the database still refers to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import psycopg

from infra.app.database import Database
from infra.app.gate import Gate
from infra.app.media_copy import LEASE, Copier, purge_due
from infra.app.media_stores import MediaStores
from infra.app.settings import read
from tests.infra.app.media_world import MemoryMedia, name_of, pair
from tests.infra.app.processes import one

Connection = psycopg.Connection[tuple[object, ...]]
BODIES = [b"picture %d" % number for number in range(40)]
DAY_S = 86400.0
WAIT_S = 30.0
T = TypeVar("T")


def with_database(dsn: str, work: Callable[[Database], Awaitable[T]]) -> T:
    async def whole() -> T:
        settings = read({"APP_DATABASES": json.dumps({"alpha": dsn})})
        async with Database(settings, Gate(sites=("alpha",), standing_open=True)) as database:
            return await work(database)

    return asyncio.run(whole())


def queue(sql: Connection, near: MemoryMedia, stores: MediaStores) -> None:
    """Every body is in the near store and still has to go to the far one."""
    for body in BODIES:
        near.objects[stores.key(name_of(body))] = body
        sql.execute("INSERT INTO media_outbox (media, store) VALUES (%s, 'far')", [name_of(body)])


async def _until_done(database: Database, stores: MediaStores) -> None:
    copier = Copier(database, stores)
    while await copier.step(WAIT_S):
        continue


def test_two_workers_copy_everything_and_each_once(dsn: str, sql: Connection) -> None:
    near, far, stores = pair()
    queue(sql, near, stores)

    async def both(database: Database) -> None:
        await asyncio.gather(_until_done(database, stores), _until_done(database, stores))

    with_database(dsn, both)
    assert far.objects == near.objects
    assert far.calls.count("put") == len(BODIES)
    assert one(sql, "SELECT count(*) FROM media_outbox") == 0


def test_what_a_killed_worker_had_leased_is_copied_by_the_next(dsn: str, sql: Connection) -> None:
    near, far, stores = pair()
    queue(sql, near, stores)

    async def leased_and_killed(database: Database) -> None:
        assert len(await database.run(LEASE, {"stores": ["far"], "batch": 10})) == 10

    with_database(dsn, leased_and_killed)
    with_database(dsn, lambda database: _until_done(database, stores))
    assert one(sql, "SELECT count(*) FROM media_outbox") == 10
    sql.execute("UPDATE media_outbox SET due_at = now()")
    with_database(dsn, lambda database: _until_done(database, stores))
    assert far.objects == near.objects


def test_what_cannot_be_copied_stays_and_is_tried_ever_more_rarely(dsn: str, sql: Connection) -> None:
    near, far, stores = pair()
    queue(sql, near, stores)
    far.silent = True
    waits = []
    for _ in range(3):
        sql.execute("UPDATE media_outbox SET due_at = now()")
        with_database(dsn, lambda database: _until_done(database, stores))
        waits.append(one(sql, "SELECT extract(epoch FROM min(due_at) - now())::float FROM media_outbox"))
    assert one(sql, "SELECT count(*) FROM media_outbox") == len(BODIES)
    tries = one(sql, "SELECT min(tries) FROM media_outbox")
    assert tries == 3
    # A store this process has not heard of is another process's to copy to.
    sql.execute("UPDATE media_outbox SET store = 'elsewhere', due_at = now()")
    assert with_database(dsn, lambda database: Copier(database, stores).step(WAIT_S)) is False


def test_one_copy_that_hangs_holds_up_no_other(dsn: str, sql: Connection) -> None:
    near, far, stores = pair()
    queue(sql, near, stores)
    hung, put = stores.key(name_of(BODIES[0])), far.put

    async def hangs(key: str, body: bytes, *, deadline_s: float) -> None:
        if key == hung:
            await asyncio.Event().wait()
        await put(key, body, deadline_s=deadline_s)

    far.put = hangs  # type: ignore[method-assign]

    async def others(database: Database) -> None:
        copier = Copier(database, stores)
        while len(far.objects) < len(BODIES) - 1 or one(sql, "SELECT count(*) FROM media_outbox") > 1:
            assert await copier.step(WAIT_S)
        await copier.end()

    with_database(dsn, others)
    assert hung not in far.objects
    assert one(sql, "SELECT count(*) FROM media_outbox") == 1


def bury(sql: Connection, body: bytes, *, days: int) -> None:
    sql.execute(
        "INSERT INTO media_tombstones (id, removed_at) VALUES (%s, now() - %s * interval '1 day')",
        [name_of(body), days],
    )


def test_only_what_was_removed_long_enough_ago_is_purged_and_from_every_store(dsn: str, sql: Connection) -> None:
    near, far, stores = pair()
    old, fresh = BODIES[:2]
    for body, days in ((old, 40), (fresh, 3)):
        near.objects[stores.key(name_of(body))] = far.objects[stores.key(name_of(body))] = body
        bury(sql, body, days=days)
    sql.execute("INSERT INTO media_outbox (media, store) VALUES (%s, 'far')", [name_of(old)])
    far.silent = True

    async def purge(database: Database) -> int:
        return await purge_due(database, stores, after_s=35 * DAY_S)

    assert with_database(dsn, purge) == 0
    assert one(sql, "SELECT count(*) FROM media_tombstones WHERE purging_at IS NOT NULL AND purged_at IS NULL") == 1
    far.silent = False
    sql.execute("UPDATE media_tombstones SET due_at = now()")
    assert with_database(dsn, purge) == 1
    assert list(near.objects.values()) == list(far.objects.values()) == [fresh]
    assert one(sql, "SELECT count(*) FROM media_outbox") == 0
    sql.execute("UPDATE media_tombstones SET purged_at = now() - interval '1 hour' WHERE purged_at IS NOT NULL")
    assert with_database(dsn, purge) == 0
    assert one(sql, "SELECT count(*) FROM media_tombstones") == 1


def test_a_picture_that_came_back_is_not_purged(dsn: str, sql: Connection) -> None:
    """As after a restore to a time before it was removed."""
    near, _, stores = pair()
    body = BODIES[0]
    near.objects[stores.key(name_of(body))] = body
    bury(sql, body, days=40)
    sql.execute(
        "INSERT INTO accounts (id, name, display_name, salt, verifier) VALUES (gen_random_uuid(), 'ada', 'Ada', '', '')"
    )
    sql.execute(
        "INSERT INTO media (id, type, size_bytes, account) SELECT %s, 'image/png', 9, id FROM accounts", [name_of(body)]
    )
    assert with_database(dsn, lambda database: purge_due(database, stores, after_s=35 * DAY_S)) == 0
    assert list(near.objects.values()) == [body]
    assert one(sql, "SELECT count(*) FROM media_tombstones") == 0
