"""Looks into a tar stream as it passes and keeps one member of it."""

from __future__ import annotations

from failover.data.tar_stream import TarStream, name_of


class TarWatch(TarStream):
    """``kept`` is, after the last byte, the content of the member called ``wanted``."""

    def __init__(self, wanted: str) -> None:
        super().__init__("the backup")
        self._wanted = wanted.encode()
        self._keeping = False
        self.kept = bytearray()

    def _begin(self, header: bytes) -> None:
        name = name_of(header)
        if not name:
            return  # the end: blocks of zeros
        self.members += 1
        self._expect(self._size_of(header))
        self._keeping = name.removeprefix(b"./") == self._wanted

    def _content(self, data: memoryview) -> None:
        if self._keeping:
            self.kept += data
