"""Plain bytes → zstd -1 → age, and back. Works in a thread, in constant memory; sha256 and sizes are counted as bytes
pass. By hand it is ``zstd -1 | age -r …`` and ``age -d -i KEY | zstd -d``."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from io import BytesIO
from typing import BinaryIO, Protocol, cast

import zstandard

from failover.data.fan import CHUNK_BYTES
from failover.errors import Damaged, Denied, Unreachable
from failover.model.snapshot import SnapshotObject
from failover.trust.age import AgeKey, decrypt, encrypt

_NOTE = struct.Struct("<II")  # magic number and length of a frame that zstd skips
_NOTE_MAGIC = 0x184D2A53
LEVEL = 1  # -3 costs 55 % more and gains nothing on databases (measured)


class Reads(Protocol):
    """Where bytes come from."""

    def read(self, size: int) -> bytes:
        """At most ``size``; empty at the end."""
        ...


class _Counted:
    """Reads on behalf of a library that hides what went wrong: the first error is kept."""

    def __init__(self, source: Reads, watch: Callable[[bytes], None] | None) -> None:
        self._source = source
        self._watch = watch
        self.size_bytes = 0
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            data = self._source.read(size if size > 0 else CHUNK_BYTES)
            if data and self._watch is not None:
                self._watch(data)
        except BaseException as error:
            self.error = error
            raise
        self.size_bytes += len(data)
        return data


class _Hashed:
    """Collects what is written into chunks, hashes and hands them on."""

    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._sink = sink
        self._held = bytearray()
        self.hash = hashlib.sha256()
        self.size_bytes = 0
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        self._held += data
        if len(self._held) >= CHUNK_BYTES:
            self._hand_on()
        return len(data)

    def flush(self) -> None:
        """Nothing: ``end`` hands on the rest."""

    def end(self) -> None:
        if self._held:
            self._hand_on()

    def _hand_on(self) -> None:
        chunk = bytes(self._held)
        self._held.clear()
        self.hash.update(chunk)
        self.size_bytes += len(chunk)
        try:
            self._sink(chunk)
        except BaseException as error:
            self.error = error
            raise


def squeeze(
    source: Reads,
    sink: Callable[[bytes], None],
    *,
    name: str,
    recipients: Sequence[str],
    watch: Callable[[bytes], None] | None = None,
) -> SnapshotObject:
    """Everything of ``source`` into ``sink``; what the object is called and amounts to. ``watch`` sees the plain bytes.
    Errors of source and sink come out as they are."""
    plain, out = _Counted(source, watch), _Hashed(sink)
    squeezed = zstandard.ZstdCompressor(level=LEVEL).stream_reader(
        cast("BinaryIO", plain), read_size=CHUNK_BYTES, closefd=False
    )
    try:
        encrypt(cast("BinaryIO", squeezed), cast("BinaryIO", out), recipients)
        out.end()
    except Unreachable as error:
        raise plain.error or out.error or error from None
    return SnapshotObject(
        name=name, sha256=out.hash.hexdigest(), size_bytes=out.size_bytes, plain_bytes=plain.size_bytes
    )


def squeeze_bytes(
    content: bytes, *, name: str, recipients: Sequence[str], note: bytes = b""
) -> tuple[SnapshotObject, bytes]:
    """The same for something small. ``note`` stands in front, encrypted too; ``zstd -d`` skips it."""
    frame = _NOTE.pack(_NOTE_MAGIC, len(note)) + note if note else b""
    out = BytesIO()
    encrypt(BytesIO(frame + zstandard.ZstdCompressor(level=LEVEL).compress(content)), out, recipients)
    body = out.getvalue()
    digest = hashlib.sha256(body).hexdigest()
    return SnapshotObject(name=name, sha256=digest, size_bytes=len(body), plain_bytes=len(content)), body


class _Inflater:
    def __init__(self, sink: Callable[[bytes], None]) -> None:
        self._inflate = zstandard.ZstdDecompressor().decompressobj()
        self._sink = sink
        self.size_bytes = 0
        self.error: BaseException | None = None

    def write(self, data: bytes) -> int:
        try:
            plain = self._inflate.decompress(data)
            self.size_bytes += len(plain)
            self._sink(plain)
        except BaseException as error:
            self.error = error
            raise
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def end(self, what: str) -> None:
        """Raises ``Damaged`` when more should have come."""
        if not self._inflate.eof:
            raise Damaged(f"{what} ends too early", where=what)


def expand(source: Reads, sink: Callable[[bytes], None], *, keys: Sequence[AgeKey], what: str) -> int:
    """The plain bytes into ``sink``; how many. Raises ``Denied`` when age does not open it, ``Damaged`` when what
    comes out is no whole zstd frame. Errors of source and sink come out as they are."""
    reader, out = _Counted(source, None), _Inflater(sink)
    try:
        decrypt(cast("BinaryIO", reader), cast("BinaryIO", out), keys)
    except Denied as error:
        cause = reader.error or out.error or error
        if isinstance(cause, zstandard.ZstdError):
            raise Damaged(f"{what} does not unpack: {cause}", where=what) from cause
        raise cause from None
    out.end(what)
    return out.size_bytes


def expand_noted(content: bytes, *, keys: Sequence[AgeKey], what: str) -> tuple[bytes, bytes]:
    """The same for something small: its note (empty when it has none) and the plain bytes."""
    plain = BytesIO()
    decrypt(BytesIO(content), plain, keys)
    packed, note = plain.getvalue(), b""
    if len(packed) >= _NOTE.size and _NOTE.unpack_from(packed)[0] == _NOTE_MAGIC:
        end = _NOTE.size + _NOTE.unpack_from(packed)[1]
        note, packed = packed[_NOTE.size : end], packed[end:]
    parts: list[bytes] = []
    out = _Inflater(parts.append)
    try:
        out.write(packed)
    except zstandard.ZstdError as error:
        raise Damaged(f"{what} does not unpack: {error}", where=what) from error
    out.end(what)
    return note, b"".join(parts)
