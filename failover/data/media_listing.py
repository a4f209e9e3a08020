"""Listings and the app's index, read side by side a page ahead, and merged. Constant memory; decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence

from failover.errors import FailoverError
from failover.model.media import Expected, Held
from failover.planner.media import Decision, Entry, Merge
from failover.ports.media_index import MediaIndex
from failover.ports.store import Store

PAGE = 1000
STALL_S = 30.0
_AHEAD = 2
_INDEX = ""


class LaneFailed(Exception):
    """One lane broke off: what was decided so far is no answer about it. ``lane`` "": the index."""

    def __init__(self, lane: str, error: FailoverError) -> None:
        super().__init__(f"{lane or 'the index'}: {error}")
        self.lane = lane
        self.error = error


class _Lane:
    """Reads ahead in a task of its own, so that all providers work at the same time."""

    def __init__(self, name: str, pages: AsyncIterator[Sequence[Entry]]) -> None:
        self.name = name
        self._pages = pages
        self._queue: asyncio.Queue[Sequence[Entry] | FailoverError | None] = asyncio.Queue(_AHEAD)
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for page in self._pages:
                await self._queue.put(page)
        except FailoverError as error:
            await self._queue.put(error)
        else:
            await self._queue.put(None)

    async def next(self) -> Sequence[Entry] | None:
        """The next page; ``None`` at the end. Raises ``LaneFailed``."""
        # A bug in a lane's task must be seen, not waited for.
        getting = asyncio.ensure_future(self._queue.get())
        await asyncio.wait({getting, self.task}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done() and self.task.done() and self._queue.empty():
            getting.cancel()
            self.task.result()
        found = await getting
        if isinstance(found, FailoverError):
            raise LaneFailed(self.name, found)
        return found


async def decisions(
    merge: Merge, stores: Sequence[Store], index: MediaIndex | None, *, prefix: str
) -> AsyncGenerator[list[Decision], None]:
    """Every decision of ``merge``, whose lanes these are. Raises ``LaneFailed``."""
    lanes = {store.name: _Lane(store.name, _listed(store, prefix)) for store in stores}
    if index is not None:
        lanes[_INDEX] = _Lane(_INDEX, _expected(index, prefix))
    try:
        while wanted := merge.wants():
            for name in wanted:
                page = await lanes[name].next()
                if page is None:
                    merge.end(name)
                else:
                    merge.feed(name, page)
            yield merge.take()
    finally:
        for lane in lanes.values():
            lane.task.cancel()
        await asyncio.gather(*(lane.task for lane in lanes.values()), return_exceptions=True)


async def _listed(store: Store, prefix: str) -> AsyncIterator[Sequence[Entry]]:
    page: list[Entry] = []
    async for told in store.list(prefix, stall_s=STALL_S):
        page.append((told.key, Held(size_bytes=told.size_bytes, etag=told.etag)))
        if len(page) >= PAGE:
            yield page
            page = []
    if page:
        yield page


async def _expected(index: MediaIndex, prefix: str) -> AsyncIterator[Sequence[tuple[str, Held | Expected]]]:
    async for page in index.pages(prefix, stall_s=STALL_S):
        yield [(one.key, one) for one in page]
