"""One object of a snapshot out of a store onto disk: fetched, compared, decrypted, unpacked as it comes."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

from failover.data.copies import checked, damaged, fault
from failover.data.squeeze import expand
from failover.data.tar_unpack import TarUnpack
from failover.errors import Damaged, Denied, FailoverError, Unreachable
from failover.model.snapshot import SnapshotObject
from failover.ports.store import Store
from failover.trust.age import AgeKey

Seen = Callable[[int], None]
"""Called with each further number of ciphertext bytes read, from a thread."""


class _Pull:
    """``Reads`` in a thread over chunks that the event loop brings."""

    def __init__(self, chunks: AsyncIterator[bytes], loop: asyncio.AbstractEventLoop, seen: Seen | None) -> None:
        self._chunks = chunks
        self._loop = loop
        self._seen = seen
        self._held = memoryview(b"")

    def read(self, size: int) -> bytes:
        while not self._held:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if chunk is None:
                return b""
            self._held = memoryview(chunk)
            if self._seen is not None:
                self._seen(len(chunk))
        data, self._held = bytes(self._held[:size]), self._held[size:]
        return data

    def _next(self) -> Coroutine[Any, Any, bytes | None]:
        return _next(self._chunks)


async def _next(chunks: AsyncIterator[bytes]) -> bytes | None:
    return await anext(chunks, None)


async def pull(
    store: Store,
    key: str,
    wanted: SnapshotObject,
    sink: Callable[[bytes], None],
    *,
    keys: Sequence[AgeKey],
    seen: Seen | None = None,
) -> None:
    """The plain bytes into ``sink``. Raises ``Damaged`` when the store's copy is not what was stored, ``Denied`` when
    it is and no key opens it."""
    source = _Pull(checked(store, key, wanted), asyncio.get_running_loop(), seen)
    try:
        await asyncio.to_thread(expand, source, sink, keys=keys, what=key)
        rest = await asyncio.to_thread(source.read, 1)
        if rest:
            raise Damaged(f"{key} in {store.name} goes on after its end", where=f"{store.name}:{key}")
    except (Damaged, Denied):
        # Altered bytes look like a wrong key to age; what was stored tells the two apart.
        wrong = await fault(store, key, wanted)
        if wrong is not None:
            raise wrong from None
        raise


async def unpack(
    stores: Sequence[Store],
    key: str,
    wanted: SnapshotObject,
    into: Path,
    *,
    keys: Sequence[AgeKey],
    strict: bool,
    notes: list[str],
    seen: Seen | None = None,
) -> None:
    """The tar into the folder ``into``, which appears when it is whole; what is there already stays. From the first
    store that has it right; ``strict``: only the first one. Raises ``Damaged`` that names the object and who still has
    a good copy; what was passed over is noted."""
    if into.exists():
        return
    part = into.with_name(into.name + ".part")
    error: FailoverError = Unreachable("no store was named")
    for store in stores[:1] if strict else stores:
        await asyncio.to_thread(shutil.rmtree, part, True)
        part.mkdir(mode=0o700, parents=True)
        tar = TarUnpack(part, what=key)
        try:
            await pull(store, key, wanted, tar.feed, keys=keys, seen=seen)
            tar.end()
        except (Damaged, Unreachable) as failed:
            error = failed
            notes.append(str(failed))
        else:
            part.rename(into)
            return
        finally:
            tar.close()
    if isinstance(error, Damaged):
        raise await damaged(error, stores[1:] if strict else (), key, wanted) from error
    raise error
