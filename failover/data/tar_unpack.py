"""Unpacks a tar stream into an empty folder as it passes. What is signed is still not trusted to name paths: whoever
has the public keys can encrypt, and the signature is compared only at the end."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from failover.errors import Damaged

_BLOCK = 512
_FILE, _FOLDER = (b"0", b"\0"), (b"5",)


class TarUnpack:
    """``feed`` every byte in order, then ``end``. Files get mode 0600, folders 0700."""

    def __init__(self, into: Path, *, what: str) -> None:
        self._into = into
        self._what = what
        self._header = bytearray()
        self._left = 0
        self._padding = 0
        self._file: BinaryIO | None = None
        self._ended = False
        self.members = 0

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises ``Damaged`` when they are no tar or name a path outside."""
        view = memoryview(data)
        while view:
            if self._left:
                taken = min(self._left, len(view))
                assert self._file is not None
                self._file.write(view[:taken])
                self._left -= taken
                if not self._left:
                    self._close()
            elif self._padding:
                taken = min(self._padding, len(view))
                self._padding -= taken
            else:
                taken = min(_BLOCK - len(self._header), len(view))
                self._header += view[:taken]
                if len(self._header) == _BLOCK:
                    self._begin(bytes(self._header))
                    self._header.clear()
            view = view[taken:]

    def end(self) -> None:
        """Raises ``Damaged`` when the stream stopped before the tar's own end."""
        self._close()
        if not self._ended or self._left or self._padding or self._header:
            raise Damaged(f"{self._what} ends too early", where=self._what)

    def close(self) -> None:
        """Give up in the middle."""
        self._close()

    def _close(self) -> None:
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
        path = self._place(header[:100].rstrip(b"\0"))
        size, kind = number(header[124:136], self._what), header[156:157]
        if kind in _FOLDER:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif kind in _FILE:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # O_EXCL: a name twice, or through a link, is no backup of ours.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            self._file = os.fdopen(descriptor, "wb")
            self._left, self._padding = size, -size % _BLOCK
            if not size:
                self._close()
        else:
            raise Damaged(f"{self._what} holds {path.name}, which is neither file nor folder", where=self._what)

    def _place(self, name: bytes) -> Path:
        pure = PurePosixPath(os.fsdecode(name))
        if pure.is_absolute() or ".." in pure.parts:
            raise Damaged(f"{self._what} names a path outside: {pure}", where=self._what)
        return self._into / pure


def number(field: bytes, what: str) -> int:
    """A size in a tar header: octal text, or above 8 GB binary with the first bit set. Raises ``Damaged``."""
    if field[0] & 0x80:
        return int.from_bytes(field, "big") & ((1 << 95) - 1)
    try:
        return int(field.rstrip(b" \0") or b"0", 8)
    except ValueError as error:
        raise Damaged(f"{what} is no tar", where=what) from error
