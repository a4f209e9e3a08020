"""Small objects: written and read whole, asked for again when a store was silent. Keys are written once, so that a
repeat after a lost reply overwrites the same bytes with the same."""

from __future__ import annotations

import asyncio

from failover.errors import FailoverError, Unreachable
from failover.ports.store import Store

_TRIES = 3
_DEADLINE_S = 20.0
_FIRST_PAUSE_S = 0.2


async def put_small(store: Store, key: str, body: bytes) -> FailoverError | None:
    """``None`` when it is there; else what went wrong the last time."""
    error: FailoverError | None = None
    for attempt in range(_TRIES):
        try:
            await store.put(key, body, deadline_s=_DEADLINE_S)
        except Unreachable as silent:
            error = silent
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
        except FailoverError as final:
            return final
        else:
            return None
    return error


async def get_small(store: Store, key: str) -> bytes:
    """Its content. Raises what the store raised the last time."""
    for attempt in range(_TRIES):
        try:
            return await store.get(key, deadline_s=_DEADLINE_S)
        except Unreachable:
            if attempt == _TRIES - 1:
                raise
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
    raise AssertionError("the loop returns or raises")
