"""WAL as whole segment files in a tar: what a snapshot needs beyond its backup to arrive at an exact LSN. By hand:
``age -d | zstd -d | tar -x -C DATA``."""

from __future__ import annotations

import tarfile
import time
from collections.abc import Iterator

from failover.errors import Unreachable
from failover.model.units import Lsn, format_lsn, segment_name
from failover.ports.snapshot_source import WalStream

_ENOUGH_BEYOND = 1 << 20
_DEADLINE_S = 60.0


class FromChunks:
    """``Reads`` over an iterator of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = b""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; empty at the end."""
        while not self._held:
            try:
                self._held = next(self._chunks)
            except StopIteration:
                return b""
        data, self._held = self._held[:size], self._held[size:]
        return data


def wal_tar(stream: WalStream, *, timeline: int, start: Lsn, beyond: Lsn, segment_bytes: int) -> Iterator[bytes]:
    """The tar of all segments from ``start`` (a segment's first byte) until a record after ``beyond`` is in; the last
    one is filled with zeros. Raises ``Unreachable`` when nothing comes after ``beyond``: the server is idle."""
    in_segment = 0
    at = start
    for data in _until(stream, start=start, beyond=beyond):
        view = memoryview(data)
        while view:
            if in_segment == 0:
                yield _header(segment_name(timeline, at, segment_bytes), segment_bytes)
            taken = min(segment_bytes - in_segment, len(view))
            yield bytes(view[:taken])
            at, in_segment, view = at + taken, (in_segment + taken) % segment_bytes, view[taken:]
    zeros = (segment_bytes - in_segment) % segment_bytes
    while zeros:
        some = min(zeros, 1 << 20)
        yield bytes(some)
        zeros -= some
    yield bytes(2 * tarfile.BLOCKSIZE)


def _until(stream: WalStream, *, start: Lsn, beyond: Lsn) -> Iterator[bytes]:
    """WAL is flushed in whole records when it comes to rest, so a pause after ``beyond`` is a record's end."""
    end = start
    until_s = time.monotonic() + _DEADLINE_S
    while end < beyond + _ENOUGH_BEYOND:
        piece = stream.receive(max_bytes=1 << 20, max_wait_s=0.3)
        if piece is not None:
            end = piece.end
            yield piece.data
        elif end > beyond:
            return
        if time.monotonic() > until_s and end <= beyond:
            raise Unreachable(f"no WAL after {format_lsn(beyond)} came within {_DEADLINE_S:.0f} s")


def _header(name: str, size_bytes: int) -> bytes:
    member = tarfile.TarInfo(f"pg_wal/{name}")
    member.size, member.mode = size_bytes, 0o600
    return member.tobuf(tarfile.USTAR_FORMAT)
