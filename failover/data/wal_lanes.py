"""One lane to each store: an upload at a time, and longer pauses while it fails. Whoever sends waits for two providers,
never for the slowest store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from failover.data.small import put_small
from failover.errors import FailoverError
from failover.model.snapshot import QUORUM
from failover.ports.store import Store

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0
BUSY = "still busy with what came before"


class Lanes:
    """``errors``: what went wrong last at each store that has not taken anything since."""

    def __init__(self, stores: Sequence[Store]) -> None:
        self._stores = tuple(stores)
        self._busy: dict[str, asyncio.Task[FailoverError | None]] = {}
        self._pause_s: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self.errors: dict[str, str] = {}

    async def send(self, key: str, body: bytes, stop: asyncio.Event) -> dict[str, str] | None:
        """Returns as soon as two providers have it, with the stores that do not; tries for ever until then. ``None``:
        stopped before."""
        done: set[str] = set()
        stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
        mine: dict[str, asyncio.Task[FailoverError | None]] = {}
        try:
            while not self._enough(done):
                self._begin(key, body, done, mine)
                waiting: list[asyncio.Future[Any]] = [*mine.values(), stopped]
                await asyncio.wait(waiting, timeout=self._next_try_s(done), return_when=asyncio.FIRST_COMPLETED)
                for name in [name for name, task in mine.items() if task.done()]:
                    self._settle(name, mine.pop(name).result(), done)
                if stopped.done() and not self._enough(done):
                    return None
        finally:
            stopped.cancel()
        left = [store.name for store in self._stores if store.name not in done]
        return {name: self.errors.get(name, BUSY) for name in left}

    def _begin(
        self, key: str, body: bytes, done: set[str], mine: dict[str, asyncio.Task[FailoverError | None]]
    ) -> None:
        now_s = time.monotonic()
        for store in self._stores:
            name, busy = store.name, self._busy.get(store.name)
            if name in done or name in mine or now_s < self._not_before.get(name, 0.0):
                continue
            if busy is None or busy.done():
                self._busy[name] = mine[name] = asyncio.ensure_future(put_small(store, key, body))

    def _settle(self, name: str, error: FailoverError | None, done: set[str]) -> None:
        if error is None:
            done.add(name)
            self.errors.pop(name, None)
            self._pause_s.pop(name, None)
            return
        self.errors[name] = str(error)
        pause_s = self._pause_s.get(name, _FIRST_PAUSE_S)
        self._not_before[name] = time.monotonic() + pause_s
        self._pause_s[name] = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _next_try_s(self, done: set[str]) -> float:
        """Until a lane that failed may be tried again, or one that is busy may have become free."""
        now_s = time.monotonic()
        waits = [self._not_before.get(store.name, 0.0) - now_s for store in self._stores if store.name not in done]
        return min((wait for wait in waits if wait > 0), default=_FIRST_PAUSE_S)

    def _enough(self, done: set[str]) -> bool:
        return len({store.traits.provider for store in self._stores if store.name in done}) >= QUORUM

    async def close(self) -> None:
        """Gives up what is still on its way."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
