"""The stores that the contract runs on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from failover.ports.store import Store
from tests.fakes.store import MemoryStore

Opener = Callable[[], AbstractAsyncContextManager[Store]]


@pytest.fixture(params=["memory"])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Gives clients of one empty bucket."""
    shared = MemoryStore()

    @asynccontextmanager
    async def memory() -> AsyncIterator[Store]:
        yield shared

    return memory
