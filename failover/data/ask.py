"""The same question to every store, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from failover.errors import FailoverError
from failover.ports.store import Store

_T = TypeVar("_T")


async def ask_all(
    stores: Sequence[Store], ask: Callable[[Store], Awaitable[_T]]
) -> tuple[dict[str, _T], dict[str, FailoverError]]:
    """By name: what those say that answer, and why the others do not. Anything but a ``FailoverError`` is a bug and
    raised."""

    async def answer(store: Store) -> _T | FailoverError:
        try:
            return await ask(store)
        except FailoverError as error:
            return error

    found: dict[str, _T] = {}
    silent: dict[str, FailoverError] = {}
    for store, said in zip(stores, await asyncio.gather(*(answer(store) for store in stores)), strict=True):
        if isinstance(said, FailoverError):
            silent[store.name] = said
        else:
            found[store.name] = said
    return found, silent
