"""Port: one bucket at one provider, for snapshots and media. Moves bytes; knows no key, no manifest, no retention.

The caller keeps a sha256 of its own of everything it stores and compares it after reading: an ETag is no checksum (the
one of a multipart upload differs from provider to provider), and poor providers check nothing of what they are sent.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Protocol

import msgspec

KEY = re.compile(r"[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*(/[A-Za-z0-9_=+-][A-Za-z0-9._=+-]*)*")
"""What a key may look like: what every provider takes unchanged, at most ``KEY_BYTES``. A key is never also the folder
of another one (``a`` beside ``a/b``): stores that keep files cannot hold both. Nor is a folder's name the beginning of
a neighbour's that goes on with ``+``, ``-`` or ``.`` (``a/b`` beside ``a-c``): SeaweedFS lists those in another order
and, after a start key, not at all."""
KEY_BYTES = 512


class StoreTraits(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider's store can do; read by preflight and planner, never tried out at run time.

    ``provider``: the company, as the fleet file names it: two stores with one provider count once.
    ``create_only``: a second ``put(create_only=True)`` of a key is refused, also when two race. Without it the store
    overwrites silently; ``put`` then looks first, which stops no racer.
    ``versioning`` / ``object_lock``: overwritten and deleted content can be kept / cannot be removed before its time.
    ``multipart_etag``: HEAD and listing give the ETag that the upload gave, also for ``put_stream``.
    ``max_put_bytes``: the largest body of one ``put``; ``put_stream`` takes more.
    """

    provider: str
    create_only: bool
    versioning: bool
    object_lock: bool
    multipart_etag: bool
    max_put_bytes: int


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object as the store tells it. ``etag``: without quotes, opaque, comparable within one store only (``None``:
    it gave none). ``modified_at``: UTC by the provider's clock, which is not ours."""

    key: str
    size_bytes: int
    modified_at: datetime
    etag: str | None = None


class WrittenObject(msgspec.Struct, frozen=True, kw_only=True):
    """What was stored, as the writing call knows it; ``etag`` as in ``StoredObject``."""

    key: str
    size_bytes: int
    etag: str | None = None


class Store(Protocol):
    """One bucket. Any number of calls at once; each may be repeated as said below and is never retried inside.

    ``deadline_s`` bounds a whole call; ``stall_s`` bounds each wait for the provider while bytes flow. Keys follow
    ``KEY`` (else ``ValueError``, nothing sent). Errors of every call: ``Unreachable`` (silent, cut, an answer that is
    none: ask again), ``Slow`` (asks for less; ``retry_after_s``), ``Denied`` (credentials, lock or policy: final),
    ``NotFound`` for the bucket itself. Calls that write also: ``OutcomeUnknown`` (sent, no answer: it may have
    happened), ``StoreFull``, ``ReadOnly``.
    """

    @property
    def name(self) -> str:
        """As the fleet file names it."""
        ...

    @property
    def traits(self) -> StoreTraits:
        """Declared, not probed; asks nobody."""
        ...

    async def put(self, key: str, body: bytes, *, deadline_s: float, create_only: bool = False) -> WrittenObject:
        """Store ``body`` whole or not at all, over what was there. Repeatable.

        ``create_only``: ``Exists`` when the key is taken, by other bytes or by the same: after ``OutcomeUnknown`` a
        repeat may find its own. ``ValueError`` above ``traits.max_put_bytes``.
        """
        ...

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, stall_s: float) -> WrittenObject:
        """Store everything ``chunks`` yields (any sizes, up to 160 GB, also nothing) in constant memory.

        Nothing is visible under ``key`` before the end; when ``chunks`` raises, that is raised and nothing becomes
        visible. Reads on from ``chunks`` only as fast as the provider takes it. To repeat, bring a new iterator.
        """
        ...

    async def get(self, key: str, *, deadline_s: float, start: int = 0, length: int | None = None) -> bytes:
        """Content from byte ``start``, ``length`` of it or to the end (fewer where the object ends, none past it).

        ``NotFound``; ``Unreachable`` when the body was shorter than announced: never fewer bytes than there are.
        """
        ...

    def get_stream(self, key: str, *, stall_s: float, start: int = 0) -> AsyncIterator[bytes]:
        """Content from byte ``start``, in chunks, in constant memory; errors as ``get``, at any chunk. Go on with
        ``start`` advanced by what was received."""
        ...

    async def head(self, key: str, *, deadline_s: float) -> StoredObject | None:
        """What is there; ``None`` when nothing is."""
        ...

    def list(self, prefix: str = "", *, stall_s: float, start_after: str = "") -> AsyncIterator[StoredObject]:
        """Every object whose key starts with ``prefix`` (plain text, not a folder) and is greater than
        ``start_after``, in order of the key's bytes, in constant memory. Objects written meanwhile may be missing;
        none is told twice. ``Damaged`` when the provider answers out of order."""
        ...

    async def delete(self, key: str, *, deadline_s: float) -> None:
        """Remove it. Repeatable; silent when there is none. ``Denied`` where a lock holds it."""
        ...

    async def close(self) -> None:
        """Free connections. Repeatable."""
        ...
