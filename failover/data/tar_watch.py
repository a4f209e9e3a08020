"""Looks into a tar stream as it passes and keeps one member of it. PostgreSQL writes plain ustar headers."""

from __future__ import annotations

from failover.data.tar_unpack import number

_BLOCK = 512
_SIZE = slice(124, 136)
_NAME = slice(0, 100)


class TarWatch:
    """``feed`` every byte in order; ``kept`` is then the content of the member called ``wanted``."""

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted.encode()
        self._header = bytearray()
        self._left = 0  # bytes of the current member's content
        self._padding = 0
        self._keeping = False
        self.kept = bytearray()
        self.members = 0

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises ``Damaged`` when they are no tar."""
        view = memoryview(data)
        while view:
            if self._left:
                taken = min(self._left, len(view))
                if self._keeping:
                    self.kept += view[:taken]
                self._left -= taken
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

    @property
    def between(self) -> bool:
        """At the end of a member: a stream that stops elsewhere was cut."""
        return not (self._left or self._padding or self._header)

    def _begin(self, header: bytes) -> None:
        name = header[_NAME].rstrip(b"\0")
        if not name:
            return  # the end: blocks of zeros
        self.members += 1
        self._left = number(header[_SIZE], "the backup")
        self._padding = -self._left % _BLOCK
        self._keeping = name.removeprefix(b"./") == self._wanted
