"""One stream of bytes to several stores at once. A store that fails or hangs is left behind; the others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from failover.errors import FailoverError, Unreachable
from failover.ports.store import Store

CHUNK_BYTES = 1 << 20
_DEPTH = 4  # chunks in hand for each store: what is read ahead of the slowest
_END: bytes | None = None


class Aborted(Exception):
    """The stream does not come to its end: no store may keep what it got."""


class _Branch:
    def __init__(self, store: Store, key: str, stall_s: float) -> None:
        self.store = store
        self.error: FailoverError | None = None
        self.queue: asyncio.Queue[bytes | Aborted | None] = asyncio.Queue(_DEPTH)
        self.task = asyncio.ensure_future(store.put_stream(key, self._chunks(), stall_s=stall_s))

    async def _chunks(self) -> AsyncIterator[bytes]:
        while (chunk := await self.queue.get()) is not None:
            if isinstance(chunk, Aborted):
                raise chunk
            yield chunk

    async def offer(self, chunk: bytes | Aborted | None, stall_s: float) -> None:
        """Waits for room; gives the branch up when its store ended or made none in time."""
        if self.error is not None:
            return
        putting = asyncio.ensure_future(self.queue.put(chunk))
        await asyncio.wait({putting, self.task}, timeout=stall_s, return_when=asyncio.FIRST_COMPLETED)
        if putting.done() and (chunk is _END or not self.task.done()):
            return
        putting.cancel()
        if self.task.done():
            await self.settle()
        else:
            self.task.cancel()
            self.error = Unreachable(f"took nothing for {stall_s:.0f} s", where=self.store.name)

    async def settle(self, *, expected_bytes: int | None = None) -> None:
        """The upload's end. ``expected_bytes`` ``None``: it ended although more was to come."""
        try:
            stored = await self.task
        except FailoverError as error:
            self.error = error
            return
        except asyncio.CancelledError:
            self.error = self.error or Unreachable("the upload was given up", where=self.store.name)
            return
        if expected_bytes is None or stored.size_bytes != expected_bytes:
            self.error = Unreachable(f"keeps {stored.size_bytes} bytes of what it was sent", where=self.store.name)


class Fan:
    """``write`` each chunk, then ``finish``; ``abort`` instead when the source failed."""

    def __init__(self, stores: Sequence[Store], key: str, *, stall_s: float) -> None:
        self._stall_s = stall_s
        self._branches = [_Branch(store, key, stall_s) for store in stores]
        self._written = 0

    async def write(self, chunk: bytes) -> None:
        """To every store that still takes it. Raises ``Unreachable`` when none does."""
        for branch in self._branches:
            await branch.offer(chunk, self._stall_s)
        self._written += len(chunk)
        if all(branch.error is not None for branch in self._branches):
            said = "; ".join(f"{branch.store.name}: {branch.error}" for branch in self._branches)
            raise Unreachable(f"no store takes it: {said}")

    async def finish(self) -> dict[str, FailoverError]:
        """Ends every upload; the stores that do not have it whole, with the reason."""
        for branch in self._branches:
            await branch.offer(_END, self._stall_s)
        for branch in self._branches:
            if branch.error is None:
                await branch.settle(expected_bytes=self._written)
        return {branch.store.name: branch.error for branch in self._branches if branch.error is not None}

    async def abort(self) -> None:
        """No store keeps anything."""
        live = [branch for branch in self._branches if not branch.task.done()]
        for branch in live:
            while not branch.queue.empty():
                branch.queue.get_nowait()
            branch.queue.put_nowait(Aborted())
        if live:
            _, late = await asyncio.wait([branch.task for branch in live], timeout=self._stall_s)
            for task in late:
                task.cancel()
        await asyncio.gather(*(branch.task for branch in self._branches), return_exceptions=True)
