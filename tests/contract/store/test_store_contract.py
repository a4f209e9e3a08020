"""What every store does, whoever's it is: the same tests on the fake and on each adapter against each server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC
from hashlib import sha256

import pytest

from failover.errors import Exists, NotFound
from failover.ports.store import Store, WrittenObject
from tests.contract.store.conftest import Opener

WAIT_S = 30.0
BIG = bytes(range(256)) * 4096 * 21 + b"end"  # 21 MB and 3 bytes: more than one part of an upload


def on(opener: Opener, scenario: Callable[[Store], Awaitable[None]]) -> None:
    async def run() -> None:
        async with opener() as store:
            await scenario(store)

    asyncio.run(run())


async def parts(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def put(store: Store, key: str, body: bytes = b"x") -> WrittenObject:
    return await store.put(key, body, deadline_s=WAIT_S)


async def keys(store: Store, prefix: str = "", start_after: str = "") -> list[str]:
    return [told.key async for told in store.list(prefix, start_after=start_after, stall_s=WAIT_S)]


@pytest.mark.parametrize("body", [b"", b"a", bytes(100_000)], ids=len)
def test_what_was_put_is_there_and_told(opener: Opener, body: bytes) -> None:
    async def scenario(store: Store) -> None:
        told = await put(store, "base/1-0/data.tar.zst.age", body)
        seen = await store.head("base/1-0/data.tar.zst.age", deadline_s=WAIT_S)
        assert seen is not None
        assert (told.key, told.size_bytes) == (seen.key, seen.size_bytes) == ("base/1-0/data.tar.zst.age", len(body))
        assert told.etag == seen.etag
        assert seen.modified_at.tzinfo == UTC
        assert await store.get(told.key, deadline_s=WAIT_S) == body

    on(opener, scenario)


def test_what_is_not_there(opener: Opener) -> None:
    async def scenario(store: Store) -> None:
        assert await store.head("none", deadline_s=WAIT_S) is None
        with pytest.raises(NotFound):
            await store.get("none", deadline_s=WAIT_S)
        with pytest.raises(NotFound):
            await anext(store.get_stream("none", stall_s=WAIT_S))
        await store.delete("none", deadline_s=WAIT_S)
        assert await keys(store) == []

    on(opener, scenario)


def test_a_put_replaces_and_a_repeat_changes_nothing(opener: Opener) -> None:
    async def scenario(store: Store) -> None:
        await put(store, "k", b"old and longer")
        await put(store, "k", b"new")
        await put(store, "k", b"new")
        assert await store.get("k", deadline_s=WAIT_S) == b"new"
        assert await keys(store) == ["k"]

    on(opener, scenario)


def test_create_only_leaves_what_is_there(opener: Opener) -> None:
    async def scenario(store: Store) -> None:
        await store.put("manifest", b"first", create_only=True, deadline_s=WAIT_S)
        for body in (b"second", b"first"):
            with pytest.raises(Exists):
                await store.put("manifest", body, create_only=True, deadline_s=WAIT_S)
        assert await store.get("manifest", deadline_s=WAIT_S) == b"first"

    on(opener, scenario)


def test_of_racing_creators_one_wins_where_the_traits_say_so(opener: Opener) -> None:
    async def scenario(store: Store) -> None:
        async def create(who: int) -> bool:
            try:
                await store.put("race", b"%d" % who, create_only=True, deadline_s=WAIT_S)
            except Exists:
                return False
            return True

        if not store.traits.create_only:
            pytest.skip("its traits promise nothing of racers")
        won = await asyncio.gather(*(create(who) for who in range(8)))
        assert sum(won) == 1
        assert await store.get("race", deadline_s=WAIT_S) == b"%d" % won.index(True)

    on(opener, scenario)


@pytest.mark.parametrize("size", [1, 7 << 20, len(BIG)], ids=["no bytes", "pieces", "one piece"])
def test_a_stream_is_stored_whole(opener: Opener, size: int) -> None:
    body = b"" if size == 1 else BIG

    async def scenario(store: Store) -> None:
        told = await store.put_stream("stream", parts(body, size), stall_s=WAIT_S)
        seen = await store.head("stream", deadline_s=WAIT_S)
        assert seen is not None
        assert told.size_bytes == seen.size_bytes == len(body)
        if store.traits.multipart_etag:
            assert told.etag == seen.etag
        digest, count = sha256(), 0
        async for chunk in store.get_stream("stream", stall_s=WAIT_S):
            digest.update(chunk)
            count += 1
        assert digest.digest() == sha256(body).digest()
        assert count > 1 or not body

    on(opener, scenario)


def test_a_stream_that_breaks_leaves_nothing(opener: Opener) -> None:
    class Broken(Exception):
        pass

    async def broken(before: int) -> AsyncIterator[bytes]:
        for _ in range(before):
            yield bytes(1 << 20)
        raise Broken

    async def scenario(store: Store) -> None:
        await put(store, "kept", b"old")
        for key, before in (("small", 1), ("large", 20), ("kept", 20)):
            with pytest.raises(Broken):
                await store.put_stream(key, broken(before), stall_s=WAIT_S)
        assert await keys(store) == ["kept"]
        assert await store.get("kept", deadline_s=WAIT_S) == b"old"

    on(opener, scenario)


def test_ranges(opener: Opener) -> None:
    async def scenario(store: Store) -> None:
        await put(store, "digits", b"0123456789")
        for start, length, want in [
            (0, 1, b"0"),
            (3, 4, b"3456"),
            (8, 99, b"89"),
            (3, None, b"3456789"),
            (10, None, b""),
            (10, 5, b""),
            (4, 0, b""),
        ]:
            assert await store.get("digits", start=start, length=length, deadline_s=WAIT_S) == want, (start, length)
        for start, want in [(0, b"0123456789"), (6, b"6789"), (10, b"")]:
            got = [chunk async for chunk in store.get_stream("digits", start=start, stall_s=WAIT_S)]
            assert b"".join(got) == want, start

    on(opener, scenario)


def test_a_listing_is_in_order_of_bytes_and_goes_on_after_a_key(opener: Opener) -> None:
    names = ["a/b", "a/c/1", "a/c/2", "a0", "b+b", "b-b", "b.b", "A", "Z/z", "_x", "wal/1/0-1", "wal/1/0-1.x"]

    async def scenario(store: Store) -> None:
        for name in names:
            await put(store, name)
        want = sorted(names)
        assert await keys(store) == want
        for at in (0, 4, len(want) - 1):
            assert await keys(store, start_after=want[at]) == want[at + 1 :]
        assert await keys(store, start_after="a/bb") == [name for name in want if name > "a/bb"]
        for prefix in ("a/", "a/c/", "a", "wal/1/0-1", "none/", "a/c/1"):
            assert await keys(store, prefix) == [name for name in want if name.startswith(prefix)], prefix
            after = "a/b"
            wanted = [name for name in want if name.startswith(prefix) and name > after]
            assert await keys(store, prefix, after) == wanted, prefix

    on(opener, scenario)


def test_a_listing_longer_than_a_page(opener: Opener) -> None:
    names = [f"m/{number:05}" for number in range(1004)]

    async def scenario(store: Store) -> None:
        for at in range(0, len(names), 50):
            await asyncio.gather(*(put(store, name) for name in names[at : at + 50]))
        assert await keys(store) == names
        assert await keys(store, "m/", "m/01000") == names[1001:]

    on(opener, scenario)


def test_deleted_is_gone_and_deleting_is_repeatable(opener: Opener) -> None:
    async def scenario(store: Store) -> None:
        await put(store, "d/1")
        await put(store, "d/2")
        for _ in range(2):
            await store.delete("d/1", deadline_s=WAIT_S)
        assert await keys(store) == ["d/2"]
        assert await store.head("d/1", deadline_s=WAIT_S) is None

    on(opener, scenario)


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", ".hidden", "a/./b", "ä", "a b", "a\n", "k" * 513])
def test_what_is_no_key_is_never_sent(opener: Opener, key: str) -> None:
    async def scenario(store: Store) -> None:
        with pytest.raises(ValueError, match="key"):
            await put(store, key)
        with pytest.raises(ValueError, match="key"):
            await store.put_stream(key, parts(b"x", 1), stall_s=WAIT_S)
        with pytest.raises(ValueError, match="key"):
            await store.get(key, deadline_s=WAIT_S)
        with pytest.raises(ValueError, match="key"):
            await store.delete(key, deadline_s=WAIT_S)
        assert await keys(store) == []

    on(opener, scenario)


def test_a_body_above_the_limit_of_one_put_is_refused(opener: Opener) -> None:
    async def scenario(store: Store) -> None:
        with pytest.raises(ValueError, match="bytes"):
            await put(store, "large", bytes(store.traits.max_put_bytes + 1))
        assert await keys(store) == []

    on(opener, scenario)
