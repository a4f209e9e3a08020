"""Pictures in object stores: written to the nearest that takes them, read from the nearest that has them whole.

A picture's SHA-256 is its name and is compared after every read: a store that gives other bytes does not have it. Must
never be here: SQL, HTTP, an S3 client (media_s3).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from infra.app.settings import Settings

READ_S = 4.0
WRITE_S = 6.0
# The next store is asked too when the nearer one has not answered by then: a dead host is silent, it does not refuse.
HEDGE_S = 0.3
SHUNNED_S = 5.0


class StoreError(Exception):
    """A store did not do it: silent, refused, full."""


class WrongBytes(StoreError):
    """The store answered, with other bytes than were stored."""


class Nowhere(Exception):
    """No store gave it. `silent`: stores that could not say whether they have it; without any, nobody has it."""

    def __init__(self, message: str, *, silent: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.silent = silent


class MediaStore(Protocol):
    """One bucket. Every call raises StoreError when it was not done; each may be repeated."""

    @property
    def name(self) -> str:
        """As the settings name it."""
        ...

    async def put(self, key: str, body: bytes, *, deadline_s: float) -> None:
        """Whole or not at all."""
        ...

    async def get(self, key: str, *, deadline_s: float) -> bytes | None:
        """The content; None when it is not there."""
        ...

    async def delete(self, key: str, *, deadline_s: float) -> None:
        """Silent when there is none."""
        ...


class MediaStores:
    """Every store of this site, nearest first."""

    def __init__(
        self, stores: Sequence[MediaStore], *, prefix: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stores = tuple(stores)
        self._prefix = prefix
        self._clock = clock
        self._shunned: dict[str, float] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(store.name for store in self._stores)

    def key(self, media: str) -> str:
        """Where a picture lies in every store."""
        return f"{self._prefix}{media[:2]}/{media}"

    async def put(self, media: str, body: bytes) -> str:
        """Store it in the nearest store that takes it and return its name. Nowhere when none does."""
        failures = []
        for store in self._order():
            try:
                await store.put(self.key(media), body, deadline_s=WRITE_S)
            except StoreError as failure:
                self._shun(store, failure)
                failures.append(f"{store.name}: {failure}")
                continue
            return store.name
        raise Nowhere("; ".join(failures), silent=self.names)

    async def read(self, media: str, *, besides: str = "") -> bytes:
        """Its bytes, as they were stored, from the nearest store that has them. Nowhere when none does."""
        waiting = [store for store in self._order() if store.name != besides]
        asked: dict[asyncio.Task[bytes | None], MediaStore] = {}
        silent: list[str] = []
        try:
            while waiting or asked:
                if waiting:
                    store = waiting.pop(0)
                    asked[asyncio.ensure_future(self._whole(store, media))] = store
                limit_s = HEDGE_S if waiting else None
                done, _ = await asyncio.wait(asked, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    store = asked.pop(task)
                    try:
                        body = task.result()
                    except StoreError as failure:
                        self._shun(store, failure)
                        silent.append(store.name)
                        continue
                    if body is not None:
                        return body
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        raise Nowhere(f"no store has {media}", silent=tuple(silent))

    async def copy(self, media: str, to: str) -> None:
        """Bring it to that store from another one. Repeatable: the same bytes once more. StoreError or Nowhere."""
        target = next((store for store in self._stores if store.name == to), None)
        if target is None:
            raise StoreError(f"{to} is no store of this site")
        body = await self.read(media, besides=to)
        await target.put(self.key(media), body, deadline_s=WRITE_S)

    async def put_everywhere(self, media: str, body: bytes) -> None:
        """Store it in every store. StoreError unless every one of them took it."""
        answers = await asyncio.gather(
            *(store.put(self.key(media), body, deadline_s=WRITE_S) for store in self._stores), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def purge(self, media: str) -> None:
        """Remove it from every store. StoreError unless every one of them said that it is gone."""
        answers = await asyncio.gather(
            *(store.delete(self.key(media), deadline_s=WRITE_S) for store in self._stores), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _whole(self, store: MediaStore, media: str) -> bytes | None:
        body = await store.get(self.key(media), deadline_s=READ_S)
        if body is not None and hashlib.sha256(body).hexdigest() != media:
            raise WrongBytes("other bytes than were stored")
        return body

    def _order(self) -> list[MediaStore]:
        """Nearest first; those that just failed last."""
        now = self._clock()
        return sorted(self._stores, key=lambda store: self._shunned.get(store.name, 0.0) > now)

    def _shun(self, store: MediaStore, failure: StoreError) -> None:
        """Only one that was silent: a store with one wrong object serves the others well."""
        if not isinstance(failure, WrongBytes):
            self._shunned[store.name] = self._clock() + SHUNNED_S


def stores_of(settings: Settings) -> MediaStores | None:
    """What the settings name; None where pictures are kept in the folder, and then no S3 client is loaded."""
    if not settings.media_stores:
        return None
    from infra.app.media_s3 import S3MediaStore

    return MediaStores([S3MediaStore(place) for place in settings.media_stores], prefix=settings.media_prefix)
