"""The stores that the contract runs on: the fake, and the S3 adapter against three servers."""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from failover.adapters.store_s3 import S3Store
from failover.adapters.store_s3_bucket import S3Bucket
from failover.model.stores import StoreKind
from failover.ports.store import Store
from tests.contract.store.servers import KEY, place, running
from tests.fakes.store import MemoryStore

Opener = Callable[[], AbstractAsyncContextManager[Store]]

# The kind as which a server is spoken to; moto stands for Amazon's S3.
KINDS: dict[str, StoreKind] = {"seaweedfs": "seaweedfs", "rclone": "rclone", "moto": "s3"}
BUCKETS = itertools.count(1)


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Address of a server by its name; started when first asked for, and stopped at the end."""
    started: dict[str, str] = {}
    holding: list[Iterator[str]] = []

    def address(name: str) -> str:
        if name not in started:
            held = _held(name, tmp_path_factory.mktemp(name))
            started[name] = next(held)
            holding.append(held)
        return started[name]

    yield address
    for held in holding:
        assert next(held, None) is None


def _held(name: str, folder: Path) -> Iterator[str]:
    with running(name, folder) as address:
        yield address


def new_bucket() -> str:
    return f"contract-{os.getpid()}-{next(BUCKETS)}"


@pytest.fixture(params=["memory", *KINDS])
def opener(request: pytest.FixtureRequest) -> Opener:
    """Gives clients of one empty bucket."""
    if request.param == "memory":
        shared = MemoryStore()

        @asynccontextmanager
        async def memory() -> AsyncIterator[Store]:
            yield shared

        return memory
    address = request.getfixturevalue("servers")(request.param)
    where = place(KINDS[request.param], address, new_bucket())
    bucket = S3Bucket(where, KEY, deadline_s=30)
    assert bucket.ensure()
    bucket.close()

    @asynccontextmanager
    async def real() -> AsyncIterator[Store]:
        store = S3Store(where, KEY, part_bytes=8 << 20)
        try:
            yield store
        finally:
            await store.close()

    return real
