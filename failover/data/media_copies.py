"""One media object from store to store, and its digest. Every byte is hashed on its way; decides nothing.

What is small is taken whole; what is not is streamed, and nothing becomes visible before the last byte proved right.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from failover.data.copies import checked
from failover.data.small import get_small, put_small
from failover.errors import Damaged
from failover.model.snapshot import SnapshotObject
from failover.ports.store import Store

WHOLE_BYTES = 8 << 20
STALL_S = 30.0


async def digest(store: Store, key: str) -> tuple[str, int]:
    """sha256 and size of what the store gives. Raises ``NotFound``, ``Unreachable``."""
    seen, size = hashlib.sha256(), 0
    async for chunk in store.get_stream(key, stall_s=STALL_S):
        seen.update(chunk)
        size += len(chunk)
    return seen.hexdigest(), size


async def carry(key: str, *, sha256: str, size_bytes: int, source: Store, target: Store) -> None:
    """Over what the target has. Repeatable. Raises ``Damaged`` when the source's bytes are not those (``sha256`` "":
    not that many), and then the target is as before; else what a store raised."""
    if size_bytes > WHOLE_BYTES:
        wanted = SnapshotObject(name=key, sha256=sha256, size_bytes=size_bytes, plain_bytes=size_bytes)
        stream = checked(source, key, wanted) if sha256 else _sized(source, key, size_bytes)
        await target.put_stream(key, stream, stall_s=STALL_S)
        return
    body = await get_small(source, key)
    if len(body) != size_bytes or sha256 not in ("", hashlib.sha256(body).hexdigest()):
        raise _wrong(source, key)
    error = await put_small(target, key, body)
    if error is not None:
        raise error


async def _sized(source: Store, key: str, size_bytes: int) -> AsyncIterator[bytes]:
    held, size = b"", 0
    async for chunk in source.get_stream(key, stall_s=STALL_S):
        if held:
            yield held
        held = chunk
        size += len(chunk)
    if size != size_bytes:
        raise _wrong(source, key)
    yield held


def _wrong(source: Store, key: str) -> Damaged:
    return Damaged(f"{source.name} gives other bytes than were stored", where=f"{source.name}:{key}")
