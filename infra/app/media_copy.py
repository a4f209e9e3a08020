"""The worker's part of pictures in stores: copies what the outbox names, purges what was removed long enough ago, and
brings to the stores what was kept in the folder before there were any.

A row of the outbox is leased, its picture copied, the row deleted: a worker killed at any instant leaves the row, and a
copy done twice is the same bytes twice. Must never be here: removing a picture that has no tombstone.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import LiteralString

import psycopg

from infra.app.database import Database
from infra.app.gate import Unavailable
from infra.app.media_stores import MediaStores, Nowhere, StoreError

AT_ONCE = 16
EVERY_S, IDLE_S = 0.05, 0.4
STOP_S = 0.5
PURGE_EVERY_S = 30.0
ADOPT_EVERY_S = 60.0
FAILURE_PAUSE_S = 1.0
# A request that put its bytes before a purge took them must not find the tombstone gone: it ends long before this.
GRACE_S = 120.0

_log = logging.getLogger("infra.app.worker")

# A lease is longer than a copy may take. Only a worker that was killed lets one run out.
LEASE: LiteralString = """
WITH due AS (
  SELECT media, store FROM media_outbox WHERE due_at <= now() AND store = ANY(%(stores)s)
  ORDER BY due_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)
UPDATE media_outbox o SET tries = o.tries + 1, due_at = now() + interval '12 seconds' FROM due
WHERE o.media = due.media AND o.store = due.store
RETURNING o.media, o.store"""

COPIED: LiteralString = """
DELETE FROM media_outbox o USING unnest(%(media)s::text[], %(stores)s::text[]) AS done (media, store)
WHERE o.media = done.media AND o.store = done.store"""

# A store that stays away is asked again after half a second, then ever more rarely: each minute at last.
DEFER: LiteralString = """
UPDATE media_outbox o SET due_at = now() + least(60, 0.25 * 2 ^ least(o.tries, 8)) * interval '1 second'
FROM unnest(%(media)s::text[], %(stores)s::text[]) AS failed (media, store)
WHERE o.media = failed.media AND o.store = failed.store"""

# A picture that came back is no longer removed. What is to be purged is no longer to be copied.
PURGE: LiteralString = """
WITH due AS (
  SELECT id FROM media_tombstones
  WHERE purged_at IS NULL AND due_at <= now() AND removed_at < now() - %(after_s)s * interval '1 second'
  ORDER BY removed_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
), back AS (
  DELETE FROM media_tombstones t USING due WHERE t.id = due.id AND EXISTS (SELECT FROM media m WHERE m.id = t.id)
), marked AS (
  UPDATE media_tombstones t SET purging_at = coalesce(t.purging_at, now()), due_at = now() + interval '60 seconds'
  FROM due WHERE t.id = due.id AND NOT EXISTS (SELECT FROM media m WHERE m.id = t.id) RETURNING t.id
), uncopied AS (DELETE FROM media_outbox o USING marked WHERE o.media = marked.id)
SELECT id FROM marked"""

PURGED: LiteralString = """
UPDATE media_tombstones SET purged_at = now() WHERE id = ANY(%(media)s) AND purging_at IS NOT NULL"""

FORGET: LiteralString = """
DELETE FROM media_tombstones WHERE purged_at < now() - %(grace_s)s * interval '1 second'"""


class Copier:
    """Copies side by side; each row is done with when its own copy is, however long the others take."""

    def __init__(self, database: Database, stores: MediaStores) -> None:
        self._database = database
        self._stores = stores
        self._running: dict[asyncio.Task[bool], tuple[str, str]] = {}

    async def step(self, wait_s: float) -> bool:
        """Begin what there is room for, wait for one to end, write down what did; False when there was nothing."""
        room = AT_ONCE - len(self._running)
        if room:
            leased = await self._database.run(LEASE, {"stores": list(self._stores.names), "batch": room})
            for media, store in leased:
                self._running[asyncio.ensure_future(_copied(self._stores, media, store))] = (media, store)
        if not self._running:
            return False
        await asyncio.wait(self._running, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
        await self._settle()
        return True

    async def end(self) -> None:
        """A little time for what runs; the rest is leased until another worker takes it."""
        if self._running:
            await asyncio.wait(self._running, timeout=STOP_S)
            await self._settle()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _settle(self) -> None:
        ended = {task: row for task, row in self._running.items() if task.done()}
        for statement, wanted in ((COPIED, True), (DEFER, False)):
            rows = [row for task, row in ended.items() if task.result() is wanted]
            if rows:
                both = {"media": [media for media, _ in rows], "stores": [store for _, store in rows]}
                await self._database.run(statement, both)
        for task in ended:
            del self._running[task]


async def purge_due(database: Database, stores: MediaStores, *, after_s: float) -> int:
    """Purge a batch of pictures removed more than `after_s` ago, from every store; how many are gone now."""
    marked = await database.run(PURGE, {"after_s": after_s, "batch": AT_ONCE})
    outcomes = await asyncio.gather(*(_purged(stores, media) for (media,) in marked))
    done = [media for (media,), purged in zip(marked, outcomes, strict=True) if purged]
    if done:
        await database.run(PURGED, {"media": done})
    await database.run(FORGET, {"grace_s": GRACE_S})
    return len(done)


async def keep_copying(database: Database, stores: MediaStores, stopping: asyncio.Event) -> None:
    """Copy until told to stop: at once while there is something, then slowing down to a look each IDLE_S."""
    copier = Copier(database, stores)
    pause_s = EVERY_S

    async def once() -> float:
        nonlocal pause_s
        busy = await copier.step(EVERY_S)
        pause_s = EVERY_S if busy else min(2 * pause_s, IDLE_S)
        return 0.0 if busy else pause_s

    await _again(once, "copy pictures", stopping)
    with contextlib.suppress(Unavailable, psycopg.Error):
        # Not written down: those copies are made once more.
        await copier.end()


async def keep_purging(database: Database, stores: MediaStores, stopping: asyncio.Event, *, after_s: float) -> None:
    """Purge until told to stop."""

    async def once() -> float:
        return 0.0 if await purge_due(database, stores, after_s=after_s) >= AT_ONCE else PURGE_EVERY_S

    await _again(once, "purge pictures", stopping)


async def adopt(stores: MediaStores, folder: Path) -> int:
    """Bring every picture of the folder to every store; how many are left for another time."""
    left = 0
    for path in sorted(await asyncio.to_thread(lambda: list(folder.glob("[0-9a-f][0-9a-f]/*")))):
        body = await asyncio.to_thread(path.read_bytes)
        if hashlib.sha256(body).hexdigest() != path.name:
            _log.warning("%s is no picture of ours: its name is not its digest", path.name)
            continue
        try:
            await stores.put_everywhere(path.name, body)
        except StoreError as failure:
            _log.info("%s stays in the folder: %s", path.name, failure)
            left += 1
            continue
        await asyncio.to_thread(path.unlink)
    return left


async def keep_adopting(stores: MediaStores, folder: Path, stopping: asyncio.Event) -> None:
    """Until nothing is left in the folder, or told to stop."""
    while not stopping.is_set() and await adopt(stores, folder):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ADOPT_EVERY_S):
                await stopping.wait()


async def _again(once: Callable[[], Awaitable[float]], name: str, stopping: asyncio.Event) -> None:
    """Repeat it with the pause it asks for. A failure is logged once; a closed gate is waited out."""
    told: str | None = ""
    while not stopping.is_set():
        try:
            pause_s = await once()
        except Unavailable:
            pause_s = EVERY_S
        except psycopg.Error as failure:
            if failure.sqlstate != told:
                _log.error("%s fails: %s, sqlstate %s", name, type(failure).__name__, failure.sqlstate)
            told, pause_s = failure.sqlstate, FAILURE_PAUSE_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await stopping.wait()


async def _copied(stores: MediaStores, media: str, store: str) -> bool:
    """The row keeps what was not copied, and its lease says when to try again."""
    try:
        await stores.copy(media, store)
    except (StoreError, Nowhere) as failure:
        _log.info("%s was not copied to %s: %s", media, store, failure)
        return False
    return True


async def _purged(stores: MediaStores, media: str) -> bool:
    try:
        await stores.purge(media)
    except StoreError as failure:
        _log.info("%s is not purged yet: %s", media, failure)
        return False
    return True
