"""A tar stream taken apart as it passes. PostgreSQL writes plain ustar headers, and so do we."""

from __future__ import annotations

from abc import ABC, abstractmethod

from failover.errors import Damaged

_BLOCK = 512
_NAME, _SIZE = slice(0, 100), slice(124, 136)


class TarStream(ABC):
    """``feed`` every byte in order; a subclass says what becomes of headers and contents. ``what`` is its name in
    errors."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._header = bytearray()
        self._left = 0  # bytes of the current member's content
        self._padding = 0
        self.members = 0

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises ``Damaged`` when they are no tar."""
        view = memoryview(data)
        while view:
            if self._left:
                taken = min(self._left, len(view))
                self._left -= taken
                self._content(view[:taken])
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

    @abstractmethod
    def _begin(self, header: bytes) -> None:
        """A whole header; it says what to ``_expect``."""

    @abstractmethod
    def _content(self, data: memoryview) -> None:
        """A piece of the current member; ``_left`` 0: its last one."""

    def _expect(self, size: int) -> None:
        """That much content comes next."""
        self._left, self._padding = size, -size % _BLOCK

    def _size_of(self, header: bytes) -> int:
        """Octal text, or above 8 GB binary with the first bit set. Raises ``Damaged``."""
        field = header[_SIZE]
        if field[0] & 0x80:
            return int.from_bytes(field, "big") & ((1 << 95) - 1)
        try:
            return int(field.rstrip(b" \0") or b"0", 8)
        except ValueError as error:
            raise Damaged(f"{self._what} is no tar", where=self._what) from error


def name_of(header: bytes) -> bytes:
    """The member's name as it stands there."""
    return header[_NAME].rstrip(b"\0")
