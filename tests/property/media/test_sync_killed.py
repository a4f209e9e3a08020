"""``media sync`` killed at any call of a store, or failing there: no store loses a good copy, no bad one is spread, and
the next run brings every object that has a good copy anywhere to every store."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from failover.errors import FailoverError, OutcomeUnknown, StoreFull, Unreachable
from failover.ports.store import StoredObject, WrittenObject
from tests.fakes.media_world import MediaWorld, key_of
from tests.fakes.store import MemoryStore

BODIES = (b"zero", b"one", b"two", b"three", b"four")
COPY = st.sampled_from(["good", "good", "bad", "short", "absent"])
STATE = st.lists(st.tuples(COPY, COPY), min_size=len(BODIES), max_size=len(BODIES))
FAULTS = (Unreachable("cut"), OutcomeUnknown("sent, no answer"), StoreFull("no room"))


class Killed(BaseException):
    """SIGKILL: nothing after it runs."""


class Struck:
    """Counts the calls of both stores; the one numbered ``at`` meets ``fault``, before or after it did its work."""

    def __init__(self, at: int, fault: BaseException, *, after: bool) -> None:
        self.left, self.fault, self.after = at, fault, after

    def hit(self, *, after: bool) -> None:
        if after is self.after:
            self.left -= 1
            if self.left == 0:
                raise self.fault


class StruckStore(MemoryStore):
    struck: Struck | None = None

    async def put(self, key: str, body: bytes, *, deadline_s: float, create_only: bool = False) -> WrittenObject:
        self._hit(after=False)
        written = await super().put(key, body, deadline_s=deadline_s, create_only=create_only)
        self._hit(after=True)
        return written

    async def get(self, key: str, *, deadline_s: float, start: int = 0, length: int | None = None) -> bytes:
        self._hit(after=False)
        return await super().get(key, deadline_s=deadline_s, start=start, length=length)

    async def get_stream(self, key: str, *, stall_s: float, start: int = 0) -> AsyncIterator[bytes]:
        self._hit(after=False)
        async for chunk in super().get_stream(key, stall_s=stall_s, start=start):
            yield chunk

    async def list(self, prefix: str = "", *, stall_s: float, start_after: str = "") -> AsyncIterator[StoredObject]:
        async for told in super().list(prefix, stall_s=stall_s, start_after=start_after):
            self._hit(after=False)
            yield told

    def _hit(self, *, after: bool) -> None:
        if self.struck is not None:
            self.struck.hit(after=after)


def world_of(folder: Path, state: list[tuple[str, str]]) -> MediaWorld:
    world = MediaWorld(folder)
    for store in (world.north, world.south):
        store.__class__ = StruckStore
    world.refer(*BODIES)
    for body, copies in zip(BODIES, state, strict=True):
        for store, copy in zip((world.north, world.south), copies, strict=True):
            if copy != "absent":
                stored = {"good": body, "bad": body[:-1] + b"?", "short": body[:-1]}[copy]
                store.objects[key_of(body)] = (stored, store.now)
    return world


def good(world: MediaWorld) -> list[set[bytes]]:
    return [
        {body for body in BODIES if store.objects.get(key_of(body), (b"", None))[0] == body}
        for store in (world.north, world.south)
    ]


@settings(max_examples=100, deadline=None)
@given(
    state=STATE,
    at=st.integers(1, 40),
    fault=st.one_of(st.just(Killed()), st.sampled_from(FAULTS)),
    after=st.booleans(),
)
def test_no_good_copy_is_ever_lost(state: list[tuple[str, str]], at: int, fault: BaseException, after: bool) -> None:
    with tempfile.TemporaryDirectory() as folder, patch("failover.data.small._FIRST_PAUSE_S", 0.0):
        world = world_of(Path(folder), state)
        before = good(world)
        struck = Struck(at, fault, after=after)
        world.north.struck = world.south.struck = struck  # type: ignore[attr-defined]
        with suppress(Killed, FailoverError, asyncio.CancelledError):
            world.run("sync")
        now = good(world)
        assert before[0] <= now[0]
        assert before[1] <= now[1]
        world.north.struck = world.south.struck = None  # type: ignore[attr-defined]
        report = world.run("sync")
        anywhere = before[0] | before[1]
        assert good(world) == [anywhere, anywhere]
        for store, place in ((world.north, 0), (world.south, 1)):
            absent = {body for body, copies in zip(BODIES, state, strict=True) if copies[place] == "absent"}
            assert {body for body in absent if key_of(body) in store.objects} <= anywhere
        lost = sum(1 for body, copies in zip(BODIES, state, strict=True) if set(copies) == {"absent"})
        assert report.trouble_counts.get("lost", 0) == lost
        ruined = sum(1 for copies in state if "good" not in copies and set(copies) != {"absent"})
        assert world.run("verify").trouble_counts.get("damaged", 0) == ruined
