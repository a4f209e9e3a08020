"""Small objects: written and read whole, asked for again when a store was silent. Keys are written once, so that a
repeat after a lost reply overwrites the same bytes with the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from failover.errors import FailoverError, Unreachable
from failover.ports.store import Store

_T = TypeVar("_T")
_TRIES = 3
_DEADLINE_S = 20.0
_FIRST_PAUSE_S = 0.2


async def put_small(store: Store, key: str, body: bytes) -> FailoverError | None:
    """``None`` when it is there; else what went wrong the last time."""
    try:
        await _ask(lambda: store.put(key, body, deadline_s=_DEADLINE_S))
    except FailoverError as error:
        return error
    return None


async def get_small(store: Store, key: str) -> bytes:
    """Its content. Raises what the store raised the last time."""
    return await _ask(lambda: store.get(key, deadline_s=_DEADLINE_S))


async def _ask(call: Callable[[], Awaitable[_T]]) -> _T:
    """Again where the store was silent; an answer, also a no, is final."""
    for attempt in range(_TRIES - 1):
        try:
            return await call()
        except Unreachable:
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
    return await call()
