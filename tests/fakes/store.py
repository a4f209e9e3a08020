"""A store in memory: for tests above the port. The contract suite runs on it too.

``faults`` are raised by the next calls, one each, before they do anything; ``lost_replies`` after they did.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import md5

from failover.errors import Exists, NotFound, OutcomeUnknown, ReadOnly, StoreFull
from failover.ports.store import KEY, KEY_BYTES, StoredObject, StoreTraits, WrittenObject

RICH = StoreTraits(
    provider="memory",
    create_only=True,
    versioning=False,
    object_lock=False,
    multipart_etag=True,
    max_put_bytes=64 << 20,
)


@dataclass
class MemoryStore:
    """``Store`` as a dict. ``capacity_bytes``: full above it. ``chunk_bytes``: how ``get_stream`` cuts."""

    name: str = "memory"
    traits: StoreTraits = RICH
    capacity_bytes: int | None = None
    read_only: bool = False
    chunk_bytes: int = 64 << 10
    objects: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    faults: list[Exception] = field(default_factory=list)
    lost_replies: int = 0
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    async def put(self, key: str, body: bytes, *, deadline_s: float, create_only: bool = False) -> WrittenObject:
        _legal(key)
        self._fail()
        if len(body) > self.traits.max_put_bytes:
            raise ValueError(f"{len(body)} bytes in one put, at most {self.traits.max_put_bytes}")
        if create_only and key in self.objects:
            raise Exists(f"{key} is there already", where=self.name)
        return self._store(key, body)

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, stall_s: float) -> WrittenObject:
        _legal(key)
        self._fail()
        return self._store(key, b"".join([chunk async for chunk in chunks]))

    async def get(self, key: str, *, deadline_s: float, start: int = 0, length: int | None = None) -> bytes:
        _legal(key)
        self._fail()
        body = self._content(key)
        return body[start:] if length is None else body[start : start + length]

    async def get_stream(self, key: str, *, stall_s: float, start: int = 0) -> AsyncIterator[bytes]:
        _legal(key)
        self._fail()
        body = self._content(key)
        for at in range(start, len(body), self.chunk_bytes):
            yield body[at : at + self.chunk_bytes]

    async def head(self, key: str, *, deadline_s: float) -> StoredObject | None:
        _legal(key)
        self._fail()
        return self._told(key) if key in self.objects else None

    async def list(self, prefix: str = "", *, stall_s: float, start_after: str = "") -> AsyncIterator[StoredObject]:
        self._fail()
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > start_after:
                yield self._told(key)

    async def delete(self, key: str, *, deadline_s: float) -> None:
        _legal(key)
        self._fail()
        if self.read_only:
            raise ReadOnly("takes no writes", where=self.name)
        self.objects.pop(key, None)
        self._lose()

    async def close(self) -> None:
        return None

    def flip(self, key: str, at: int = 0) -> None:
        """Change one bit of what is stored, as a bad disk does."""
        body, when = self.objects[key]
        self.objects[key] = (body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :], when)

    def _store(self, key: str, body: bytes) -> WrittenObject:
        if self.read_only:
            raise ReadOnly("takes no writes", where=self.name)
        others = sum(len(content) for at, (content, _) in self.objects.items() if at != key)
        if self.capacity_bytes is not None and others + len(body) > self.capacity_bytes:
            raise StoreFull("no room left", where=self.name)
        self.objects[key] = (bytes(body), self.now)
        self._lose()
        return WrittenObject(key=key, size_bytes=len(body), etag=self._told(key).etag)

    def _content(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFound(f"{key} is not there", where=self.name)
        return self.objects[key][0]

    def _told(self, key: str) -> StoredObject:
        body, when = self.objects[key]
        etag = md5(body, usedforsecurity=False).hexdigest()
        return StoredObject(key=key, size_bytes=len(body), modified_at=when, etag=etag)

    def _fail(self) -> None:
        if self.faults:
            raise self.faults.pop(0)

    def _lose(self) -> None:
        if self.lost_replies:
            self.lost_replies -= 1
            raise OutcomeUnknown("no answer", where=self.name)


def _legal(key: str) -> None:
    if not KEY.fullmatch(key) or len(key) > KEY_BYTES:
        raise ValueError(f"{key!r} is no key for a store")
