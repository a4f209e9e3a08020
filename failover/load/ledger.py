"""The ledger's file: JSON lines in zstd frames, written while the load runs, readable whatever killed the writer.

Each flush is one whole frame and one ``write``; a SIGKILL costs at most the lines since the last flush, and a frame
cut short is left out and said so. Must never be here: what a line means (model.ledger), sums over lines (timeline).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import msgspec
import zstandard

from failover.errors import Damaged
from failover.model.ledger import (
    SCHEMA,
    LedgerEnd,
    LedgerHead,
    LedgerLine,
    RequestDone,
    RequestKind,
    StreamDone,
    UploadDone,
    WriteSent,
)

FILE_NAME = "ledger.jsonl.zst"
FLUSH_EVERY_S = 0.25
_CHUNK_BYTES = 1 << 16
_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[LedgerLine] = msgspec.json.Decoder(LedgerLine)


class LedgerWriter:
    """Keeps lines in memory until ``flush``; whoever owns it flushes every ``FLUSH_EVERY_S``. Not for threads."""

    def __init__(self, path: Path, head: LedgerHead) -> None:
        self._compressor = zstandard.ZstdCompressor(level=3)
        self._lines = bytearray()
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self.add(head)
        self.flush()

    def add(self, line: LedgerLine) -> None:
        """Append one line."""
        self._lines += _encoder.encode(line)
        self._lines += b"\n"

    def flush(self) -> None:
        """Hand what was added to the kernel, where a SIGKILL cannot reach it. Raises ``OSError`` (disk full)."""
        if not self._lines:
            return
        frame = memoryview(self._compressor.compress(bytes(self._lines)))
        self._lines.clear()
        while frame:
            frame = frame[os.write(self._fd, frame) :]

    def close(self) -> None:
        """Flush to the disk and close."""
        self.flush()
        os.fsync(self._fd)
        os.close(self._fd)

    def __enter__(self) -> LedgerWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """A whole ledger in memory. ``sent``: id -> when it first left, of every write that did. ``cut``: the last frame
    or line was incomplete, ``end`` is then ``None``: the generator did not finish in order."""

    head: LedgerHead
    sent: dict[str, float]
    writes: tuple[RequestDone, ...]
    reads: tuple[RequestDone, ...]
    end: LedgerEnd | None
    cut: bool
    streams: tuple[StreamDone, ...] = ()
    uploads: tuple[UploadDone, ...] = ()

    @property
    def requests(self) -> tuple[RequestDone, ...]:
        """Writes and reads."""
        return self.writes + self.reads

    @property
    def unfinished(self) -> tuple[str, ...]:
        """Ids of writes that were sent and whose result is not known, oldest first."""
        done = {write.id for write in self.writes}
        return tuple(id_ for id_ in self.sent if id_ not in done)


def read_ledger(path: Path) -> Ledger:
    """Everything in the file. Tolerates an incomplete end only; raises ``Damaged`` for anything else that is wrong."""
    head: LedgerHead | None = None
    end: LedgerEnd | None = None
    sent: dict[str, float] = {}
    writes: list[RequestDone] = []
    reads: list[RequestDone] = []
    streams: list[StreamDone] = []
    uploads: list[UploadDone] = []
    reader = _Reader(path)
    for line in reader.lines():
        match line:
            case LedgerHead():
                head = line
            case WriteSent():
                sent[line.id] = line.sent_s
            case RequestDone():
                (writes if line.kind is RequestKind.WRITE else reads).append(line)
            case StreamDone():
                streams.append(line)
            case UploadDone():
                uploads.append(line)
            case LedgerEnd():
                end = line
    if head is None or head.schema != SCHEMA:
        raise Damaged(f"not a ledger of {SCHEMA}: the head is missing or another", where=str(path))
    return Ledger(
        head=head, sent=sent, writes=tuple(writes), reads=tuple(reads), end=end, cut=reader.cut or end is None,
        streams=tuple(streams), uploads=tuple(uploads),
    )  # fmt: skip


class _Reader:
    """Lines of a file, frame by frame. ``cut`` is known once ``lines`` is exhausted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.cut = False

    def lines(self) -> Iterator[LedgerLine]:
        rest = b""
        for text in self._frames():
            *whole, rest = (rest + text).split(b"\n")
            for line in whole:
                yield self._decode(line)
        if rest:
            self.cut = True

    def _decode(self, line: bytes) -> LedgerLine:
        try:
            return _decoder.decode(line)
        except msgspec.MsgspecError as failure:
            raise Damaged(f"a line of the ledger is not one: {failure}", where=str(self._path)) from failure

    def _frames(self) -> Iterator[bytes]:
        decompressor = zstandard.ZstdDecompressor()
        frame = decompressor.decompressobj()
        begun = False
        with self._path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                while chunk:
                    begun = True
                    try:
                        text = frame.decompress(chunk)
                    except zstandard.ZstdError as failure:
                        raise Damaged("a frame of the ledger is damaged", where=str(self._path)) from failure
                    if text:
                        yield text
                    chunk = b""
                    if frame.eof:
                        chunk = frame.unused_data
                        frame = decompressor.decompressobj()
                        begun = False
        self.cut = self.cut or begun
