"""Unpacks a tar stream into an empty folder as it passes. What is signed is still not trusted to name paths: whoever
has the public keys can encrypt, and the signature is compared only at the end."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from failover.data.tar_stream import TarStream, name_of
from failover.errors import Damaged

_FILE, _FOLDER = (b"0", b"\0"), (b"5",)
_KIND = slice(156, 157)


class TarUnpack(TarStream):
    """``feed`` every byte in order, then ``end``. Files get mode 0600, folders 0700. Raises ``Damaged`` also for a path
    outside."""

    def __init__(self, into: Path, *, what: str) -> None:
        super().__init__(what)
        self._into = into
        self._file: BinaryIO | None = None
        self._ended = False

    def end(self) -> None:
        """Raises ``Damaged`` when the stream stopped before the tar's own end."""
        self.close()
        if not self._ended or not self.between:
            raise Damaged(f"{self._what} ends too early", where=self._what)

    def close(self) -> None:
        """Give up in the middle."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, header: bytes) -> None:
        if not header.strip(b"\0"):
            self._ended = True
            return
        if self._ended:
            raise Damaged(f"{self._what} goes on after its end", where=self._what)
        self.members += 1
        path = self._place(name_of(header))
        size, kind = self._size_of(header), header[_KIND]
        if kind in _FOLDER:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif kind in _FILE:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # O_EXCL: a name twice, or through a link, is no backup of ours.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            self._expect(size)
            if not size:
                self.close()
        else:
            raise Damaged(f"{self._what} holds {path.name}, which is neither file nor folder", where=self._what)

    def _content(self, data: memoryview) -> None:
        assert self._file is not None
        self._file.write(data)
        if not self._left:
            self.close()

    def _place(self, name: bytes) -> Path:
        pure = PurePosixPath(os.fsdecode(name))
        if pure.is_absolute() or ".." in pure.parts:
            raise Damaged(f"{self._what} names a path outside: {pure}", where=self._what)
        return self._into / pure
