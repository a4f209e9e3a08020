"""What the S3 adapter says while its store is slow, silent, cut off, full, read-only or lying."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from hashlib import sha256

import pytest

from failover.adapters.store_s3 import S3Store
from failover.adapters.store_s3_bucket import S3Bucket
from failover.errors import (
    Denied,
    Exists,
    FailoverError,
    NotFound,
    OutcomeUnknown,
    ReadOnly,
    Slow,
    StoreFull,
    Unreachable,
)
from failover.model.secret import Secret
from failover.model.stores import StoreKey, StorePlace
from failover.ports.store import Store
from tests.contract.store.conftest import KINDS, new_bucket
from tests.contract.store.faulty import FaultyStore, Spoil
from tests.contract.store.servers import KEY, free_ports, place

WAIT_S = 30.0
SHORT_S = 1.0  # only where silence is what is waited for
BODY = bytes(range(256)) * 1024
PART = 5 << 20


class World:
    """A store, the spoiler before it, and the same store seen directly."""

    def __init__(self, proxy: FaultyStore, spoilt: StorePlace, direct: StorePlace) -> None:
        self.proxy = proxy
        self.spoilt = spoilt
        self.direct = direct

    def run(self, scenario: Callable[[S3Store, S3Store], Awaitable[None]]) -> None:
        async def both() -> None:
            await scenario(S3Store(self.spoilt, KEY, part_bytes=PART), S3Store(self.direct, KEY, part_bytes=PART))

        asyncio.run(both())


@pytest.fixture(params=["seaweedfs", "rclone"])
def world(request: pytest.FixtureRequest, servers: Callable[[str], str]) -> Iterator[World]:
    address, bucket = servers(request.param), new_bucket()
    kind = KINDS[request.param]
    direct = place(kind, address, bucket)
    S3Bucket(direct, KEY, deadline_s=WAIT_S).ensure()
    with FaultyStore(address) as proxy:
        yield World(proxy, place(kind, proxy.address, bucket), direct)


async def stream(parts: int) -> AsyncIterator[bytes]:
    for _ in range(parts):
        yield bytes(PART)


async def everything(store: Store, key: str, limit_s: float) -> dict[str, FailoverError | None]:
    """Each call once; what it raised."""
    said: dict[str, FailoverError | None] = {}
    calls: dict[str, Callable[[], Awaitable[object]]] = {
        "put": lambda: store.put(key, BODY, deadline_s=limit_s),
        "put_stream": lambda: store.put_stream(key, stream(1), stall_s=limit_s),
        "delete": lambda: store.delete(key, deadline_s=limit_s),
        "head": lambda: store.head(key, deadline_s=limit_s),
        "get": lambda: store.get(key, deadline_s=limit_s),
        "get_stream": lambda: anext(store.get_stream(key, stall_s=limit_s)),
        "list": lambda: anext(store.list(stall_s=limit_s)),
    }
    for name, call in calls.items():
        try:
            await call()
        except FailoverError as error:
            said[name] = error
        else:
            said[name] = None
    return said


def kinds(said: dict[str, FailoverError | None]) -> dict[str, type[object]]:
    return {name: type(error) for name, error in said.items()}


WRITES = {"put", "delete"}


def test_an_honest_proxy_changes_nothing(world: World) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        await store.put("k", BODY, deadline_s=WAIT_S)
        await store.put_stream("s", stream(3), stall_s=WAIT_S)
        assert await direct.get("k", deadline_s=WAIT_S) == BODY == await store.get("k", deadline_s=WAIT_S)
        assert [told.key async for told in store.list(stall_s=WAIT_S)] == ["k", "s"]

    world.run(scenario)
    assert world.proxy.spoilt == 0


def test_a_lost_reply_is_an_unknown_outcome_and_a_repeat_is_harmless(world: World) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        world.proxy.spoil = Spoil(fault="lost reply", method="PUT")
        with pytest.raises(OutcomeUnknown):
            await store.put("k", BODY, deadline_s=WAIT_S, create_only=True)
        assert await direct.get("k", deadline_s=WAIT_S) == BODY
        with pytest.raises(Exists):
            await store.put("k", BODY, deadline_s=WAIT_S, create_only=True)
        await store.put("k", BODY, deadline_s=WAIT_S)
        # obstore deletes through POST ?delete; whichever it is, it is the next request
        world.proxy.spoil = Spoil(fault="lost reply")
        with pytest.raises(OutcomeUnknown):
            await store.delete("k", deadline_s=WAIT_S)
        assert await direct.head("k", deadline_s=WAIT_S) is None
        await store.delete("k", deadline_s=WAIT_S)

    world.run(scenario)
    assert world.proxy.spoilt == 2


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "SlowDown", Slow),
        (429, "TooManyRequests", Slow),
        (403, "AccessDenied", Denied),
        (403, "RequestTimeTooSkewed", Denied),
        (401, "", Denied),
        (507, "", StoreFull),
        (403, "QuotaExceeded", StoreFull),
        (405, "MethodNotAllowed", ReadOnly),
        (400, "BadDigest", Unreachable),
    ],
)
def test_what_each_no_means(world: World, status: int, code: str, kind: type[FailoverError]) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        await direct.put("k", BODY, deadline_s=WAIT_S)
        world.proxy.spoil = Spoil(status=status, code=code, times=-1)
        said = await everything(store, "k", WAIT_S)
        # A HEAD has no body to say a code in.
        exact = {name: error for name, error in kinds(said).items() if name != "head"}
        assert exact == dict.fromkeys(exact, kind)
        assert isinstance(said["head"], FailoverError)
        assert await direct.get("k", deadline_s=WAIT_S) == BODY

    world.run(scenario)


def test_a_broken_store_may_have_done_it(world: World) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        await direct.put("k", BODY, deadline_s=WAIT_S)
        world.proxy.spoil = Spoil(status=500, code="InternalError", times=-1)
        said = await everything(store, "k", WAIT_S)
        for name, error in kinds(said).items():
            assert error in ({OutcomeUnknown} if name in WRITES else {Unreachable, OutcomeUnknown}), name

    world.run(scenario)


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_silence_ends_with_the_deadline(world: World, fault: str) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        await direct.put("k", BODY, deadline_s=WAIT_S)
        calls: dict[str, Awaitable[object]] = {"get": store.get("k", deadline_s=SHORT_S)}
        if fault == "hang":
            calls["head"] = store.head("k", deadline_s=SHORT_S)
            calls["list"] = anext(store.list(stall_s=SHORT_S))
            calls["get_stream"] = anext(store.get_stream("k", stall_s=SHORT_S))
            calls["put"] = store.put("k", BODY, deadline_s=SHORT_S)
            calls["put_stream"] = store.put_stream("s", stream(3), stall_s=SHORT_S)
        world.proxy.spoil = Spoil(fault="hang" if fault == "hang" else "drip", times=-1)
        for name, call in calls.items():
            with pytest.raises(Unreachable) as told:
                await call
            assert isinstance(told.value, OutcomeUnknown) == (name == "put"), name
        assert await direct.head("s", deadline_s=WAIT_S) is None

    world.run(scenario)


def test_a_cut_body_is_never_taken_for_the_whole(world: World) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        await direct.put("k", BODY, deadline_s=WAIT_S)
        world.proxy.spoil = Spoil(fault="cut body", method="GET", times=2)
        with pytest.raises(Unreachable):
            await store.get("k", deadline_s=WAIT_S)
        got, ended = b"", False
        try:
            async for chunk in store.get_stream("k", stall_s=WAIT_S):
                got += chunk
            ended = True
        except Unreachable:
            pass
        assert not ended
        assert BODY.startswith(got)
        assert len(got) < len(BODY)
        rest = [chunk async for chunk in store.get_stream("k", stall_s=WAIT_S, start=len(got))]
        assert got + b"".join(rest) == BODY

    world.run(scenario)
    assert world.proxy.spoilt == 2


def test_bytes_changed_on_the_way_are_found_by_a_hash_of_our_own(world: World) -> None:
    want = sha256(BODY).digest()

    async def scenario(store: S3Store, direct: S3Store) -> None:
        await direct.put("k", BODY, deadline_s=WAIT_S)
        world.proxy.spoil = Spoil(fault="flip answer", method="GET")
        assert sha256(await store.get("k", deadline_s=WAIT_S)).digest() != want
        assert sha256(await store.get("k", deadline_s=WAIT_S)).digest() == want
        world.proxy.spoil = Spoil(fault="flip request", method="PUT")
        refused = False
        try:
            await store.put("up", BODY, deadline_s=WAIT_S)
        except FailoverError:
            refused = True
        seen = await direct.head("up", deadline_s=WAIT_S)
        stored = None if seen is None else sha256(await direct.get("up", deadline_s=WAIT_S)).digest()
        assert stored != want
        assert refused or stored is not None
        assert refused or store.name != "seaweedfs"

    world.run(scenario)
    assert world.proxy.spoilt == 2


def test_a_stream_cut_in_the_middle_leaves_nothing(world: World) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        world.proxy.spoil = Spoil(status=503, code="SlowDown", method="PUT", after=1, times=-1)
        with pytest.raises(Slow):
            await store.put_stream("s", stream(6), stall_s=WAIT_S)
        assert await direct.head("s", deadline_s=WAIT_S) is None
        assert world.proxy.spoilt > 0
        world.proxy.spoil = None
        await store.put_stream("s", stream(2), stall_s=WAIT_S)
        seen = await direct.head("s", deadline_s=WAIT_S)
        assert seen is not None
        assert seen.size_bytes == 2 * PART

    world.run(scenario)


def test_nobody_there_is_certain_to_have_done_nothing(world: World) -> None:
    kind = KINDS[world.direct.name]

    async def scenario() -> None:
        store = S3Store(place(kind, f"127.0.0.1:{free_ports(1)[0]}", "nobody"), KEY)
        said = kinds(await everything(store, "k", WAIT_S))
        # The last part of a stream and its end are one call of obstore, which does not tell the two apart.
        assert said.pop("put_stream") in (Unreachable, OutcomeUnknown)
        assert said == dict.fromkeys(said, Unreachable)

    asyncio.run(scenario())


def test_a_wrong_key_is_denied_and_a_missing_bucket_is_said(world: World) -> None:
    async def scenario(store: S3Store, direct: S3Store) -> None:
        await direct.put("k", BODY, deadline_s=WAIT_S)
        stranger = S3Store(world.direct, StoreKey(access_key=KEY.access_key, secret=Secret("somebody else's")))
        said = kinds(await everything(stranger, "k", WAIT_S))
        assert said == dict.fromkeys(said, Denied)
        assert await direct.get("k", deadline_s=WAIT_S) == BODY
        lost = S3Store(place(KINDS[world.direct.name], world.direct.endpoint[7:], "nothing-here"), KEY)
        with pytest.raises(NotFound):
            await anext(lost.list("a/", stall_s=WAIT_S))

    world.run(scenario)
