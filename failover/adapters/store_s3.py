"""``Store`` on anything that speaks S3, through obstore: the bytes. Buckets themselves: ``store_s3_bucket``.

No retry in here, and obstore's own are off: whoever calls knows whether a repeat is harmless. What must never be here:
a meaning of keys, and comparing an ETag with a hash.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store as _Client

from failover.adapters.store_s3_errors import is_past_end, of_obstore
from failover.errors import Damaged, Exists, NotFound, OutcomeUnknown, Unreachable
from failover.model.stores import StoreKey, StoreKind, StorePlace
from failover.ports.store import KEY, KEY_BYTES, StoredObject, StoreTraits, WrittenObject

if TYPE_CHECKING:  # names that exist for type checkers only
    from obstore import AsyncWritableFile, GetResult, ObjectMeta, OffsetRange

# One part of an upload. S3 has at most 10,000 of them: 160 GB in one stream.
PART_BYTES = 16 << 20
_PARTS_AT_ONCE = 2
_CHUNK_BYTES = 1 << 20
_PAGE = 1000
_CONNECT_S = 5
# obstore's own limits span a whole request with its body; ours are per wait. These only end what nobody waits for.
_FORGOTTEN = timedelta(hours=24)
_FORGOTTEN_SILENCE = timedelta(minutes=5)


def traits_of(kind: StoreKind, provider: str) -> StoreTraits:
    """What a store of this kind does, as measured by the contract suite on each."""
    rich = kind != "rclone"
    return StoreTraits(
        provider=provider,
        create_only=rich,
        versioning=rich,
        object_lock=rich,
        multipart_etag=rich,
        max_put_bytes=64 << 20,
    )


class S3Store:
    """One bucket at one endpoint. Used from one event loop; opens connections as needed."""

    def __init__(self, place: StorePlace, key: StoreKey, *, part_bytes: int = PART_BYTES) -> None:
        self.name = place.name
        self.traits = traits_of(place.kind, place.provider)
        # rclone answers a range with status 200, which obstore refuses: the whole is read from there, and cut here.
        self._ranges = place.kind != "rclone"
        self._where = place.where
        self._part_bytes = part_bytes
        self._client = _Client(
            place.bucket,
            endpoint=place.endpoint,
            region=place.region,
            access_key_id=key.access_key,
            secret_access_key=key.secret.reveal(),
            virtual_hosted_style_request=False,
            checksum_algorithm="SHA256",
            client_options={
                "allow_http": place.endpoint.startswith("http://"),
                "connect_timeout": timedelta(seconds=_CONNECT_S),
                "timeout": _FORGOTTEN,
                "read_timeout": _FORGOTTEN_SILENCE,
            },
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=1)},
        )

    async def put(self, key: str, body: bytes, *, deadline_s: float, create_only: bool = False) -> WrittenObject:
        _check(key)
        if len(body) > self.traits.max_put_bytes:
            raise ValueError(f"{len(body)} bytes in one put, at most {self.traits.max_put_bytes}")
        exclusive = create_only and self.traits.create_only
        if create_only and not exclusive and await self.head(key, deadline_s=deadline_s) is not None:
            raise Exists(f"{key} is there already", where=self._where)
        mode: Literal["create", "overwrite"] = "create" if exclusive else "overwrite"
        async with self._asking(f"put {key}", deadline_s, writes=True):
            answer = await obstore.put_async(self._client, key, body, use_multipart=False, mode=mode)
        return WrittenObject(key=key, size_bytes=len(body), etag=_bare(answer["e_tag"]))

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes], *, stall_s: float) -> WrittenObject:
        _check(key)
        what, sent = f"put {key}", 0
        writer = obstore.open_writer_async(
            self._client, key, buffer_size=self._part_bytes, max_concurrency=_PARTS_AT_ONCE
        )
        try:
            async for chunk in chunks:
                sent += len(chunk)
                # Nothing is visible before the end, so what fails here has changed nothing.
                async with self._asking(what, stall_s):
                    await writer.write(chunk)
        except BaseException as error:
            await self._abandon(writer, error, stall_s)
            raise
        async with self._asking(what, stall_s, writes=True):
            await writer.close()
            seen = await obstore.head_async(self._client, key)
        if seen["size"] != sent:
            raise OutcomeUnknown(f"{what}: {seen['size']} bytes are there, {sent} were sent", where=self._where)
        return WrittenObject(key=key, size_bytes=sent, etag=_bare(seen["e_tag"]))

    async def get(self, key: str, *, deadline_s: float, start: int = 0, length: int | None = None) -> bytes:
        if length == 0:
            await self._existing(key, deadline_s)
            return b""
        if not self._ranges:
            return await self._cut(key, deadline_s, start, length)
        async with self._asking(f"get {key}", deadline_s):
            answer = await self._open(key, start, length)
            body = b"" if answer is None else bytes(await answer.bytes_async())
        if answer is not None and len(body) != answer.range[1] - answer.range[0]:
            raise Unreachable(f"get {key}: the body is shorter than announced", where=self._where)
        return body

    async def get_stream(self, key: str, *, stall_s: float, start: int = 0) -> AsyncGenerator[bytes, None]:
        what = f"get {key}"
        async with self._asking(what, stall_s):
            answer = await self._open(key, start if self._ranges else 0, None)
        if answer is None:
            return
        left, skip = answer.range[1] - answer.range[0], 0 if self._ranges else start
        chunks = answer.stream(min_chunk_size=_CHUNK_BYTES)
        while left > 0:
            async with self._asking(what, stall_s):
                chunk = await anext(chunks, None)
            if chunk is None:
                raise Unreachable(f"{what}: the body is {left} bytes shorter than announced", where=self._where)
            left -= len(chunk)
            wanted, skip = bytes(chunk)[skip:], max(0, skip - len(chunk))
            if wanted:
                yield wanted

    async def head(self, key: str, *, deadline_s: float) -> StoredObject | None:
        _check(key)
        async with self._asking(f"head {key}", deadline_s):
            try:
                return _told(await obstore.head_async(self._client, key))
            except FileNotFoundError:
                return None

    async def list(self, prefix: str = "", *, stall_s: float, start_after: str = "") -> AsyncIterator[StoredObject]:
        # obstore's prefix is a folder; the rest of ours is compared here, and the listing ends with it.
        what, last = f"list {prefix}", ""
        folder = prefix.rpartition("/")[0] or None
        offset = max(start_after, prefix[:-1]) or None
        pages = obstore.list(self._client, folder, offset=offset, chunk_size=_PAGE)
        while True:
            async with self._asking(what, stall_s):
                page = await anext(pages, None)
            if page is None:
                return
            for meta in page:
                told = _told(meta)
                if told.key <= last:
                    raise Damaged(f"{what}: {told.key} came after {last}", where=self._where)
                last = told.key
                if told.key.startswith(prefix) and told.key > start_after:
                    yield told
                elif told.key > prefix and not told.key.startswith(prefix):
                    return

    async def delete(self, key: str, *, deadline_s: float) -> None:
        _check(key)
        async with self._asking(f"delete {key}", deadline_s, writes=True):
            try:
                await obstore.delete_async(self._client, key)
            except FileNotFoundError as error:
                if "NoSuchBucket" in str(error):
                    raise

    async def close(self) -> None:
        """obstore closes its connections with the last use of the client."""

    async def _cut(self, key: str, deadline_s: float, start: int, length: int | None) -> bytes:
        """A range of what is read from its beginning, and no further than needed."""
        got = bytearray()
        try:
            whole = self.get_stream(key, stall_s=deadline_s, start=start)
            async with asyncio.timeout(deadline_s), aclosing(whole) as chunks:
                async for chunk in chunks:
                    got += chunk
                    if length is not None and len(got) >= length:
                        break
        except TimeoutError:
            raise Unreachable(f"get {key}: no answer in {deadline_s:g} s", where=self._where) from None
        return bytes(got[:length])

    async def _existing(self, key: str, deadline_s: float) -> StoredObject:
        told = await self.head(key, deadline_s=deadline_s)
        if told is None:
            raise NotFound(f"{key} is not there", where=self._where)
        return told

    async def _open(self, key: str, start: int, length: int | None) -> GetResult | None:
        """The answer with its head read; ``None`` when the object ends at or before ``start``."""
        _check(key)
        if start == 0 and length is None:
            return await obstore.get_async(self._client, key)
        wanted: OffsetRange | tuple[int, int] = {"offset": start} if length is None else (start, start + length)
        try:
            return await obstore.get_async(self._client, key, options={"range": wanted})
        except BaseError as error:
            if is_past_end(error):
                return None
            raise

    async def _abandon(self, writer: AsyncWritableFile, error: BaseException, stall_s: float) -> None:
        """Have the provider drop the parts it holds; it may be the one that is silent, so this is said, not raised."""
        try:
            async with asyncio.timeout(stall_s):
                await writer.__aexit__(type(error), error, error.__traceback__)
        except (TimeoutError, BaseError, OSError) as second:
            error.add_note(f"parts of the upload are left at the {self._where}: {type(second).__name__}")

    @asynccontextmanager
    async def _asking(self, what: str, limit_s: float, *, writes: bool = False) -> AsyncIterator[None]:
        """One wait for the provider: at most ``limit_s``, and what obstore raises told in our words."""
        try:
            async with asyncio.timeout(limit_s):
                yield
        except TimeoutError:
            silent = OutcomeUnknown if writes else Unreachable
            raise silent(f"{what}: no answer in {limit_s:g} s", where=self._where) from None
        except (BaseError, OSError) as error:
            raise of_obstore(error, what=what, where=self._where, writes=writes) from error


def _told(meta: ObjectMeta) -> StoredObject:
    return StoredObject(
        key=meta["path"], size_bytes=meta["size"], modified_at=meta["last_modified"], etag=_bare(meta["e_tag"])
    )


def _bare(etag: str | None) -> str | None:
    return etag.strip('"') if etag is not None else None


def _check(key: str) -> None:
    if not KEY.fullmatch(key) or len(key) > KEY_BYTES:
        raise ValueError(f"{key!r} is no key for a store")
