"""What no store that answers has, as a list a person can go by, and its seal: written while the pass runs, one line an
object, so that it may be as long as it has to."""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from pathlib import Path
from types import TracebackType

import msgspec

from failover.errors import Damaged
from failover.model.media import Expected, MediaReport, MissingList
from failover.operations.snapshot_shelf import seal_key
from failover.operations.wired import Wired
from failover.trust.seal import open_seal


class MissingWriter:
    """Nothing is left on disk unless ``seal`` was called."""

    def __init__(self, folder: Path, at: datetime) -> None:
        self._folder = folder
        self._name = f"missing-{at.strftime('%Y%m%dT%H%M%SZ')}"
        self._file = folder / f".{self._name}.{os.getpid()}"
        self._sha256 = hashlib.sha256()
        self.objects = 0
        self.bytes = 0

    def __enter__(self) -> MissingWriter:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._stream = self._file.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()
        self._file.unlink(missing_ok=True)

    def add(self, one: Expected) -> None:
        """``sha256 size key``; the size is - when nobody knows it."""
        size = str(one.size_bytes) if one.size_bytes >= 0 else "-"
        line = f"{one.sha256 or '-'} {size} {one.key}\n".encode()
        self._sha256.update(line)
        self._stream.write(line)
        self.objects += 1
        self.bytes += max(0, one.size_bytes)

    def seal(self, wired: Wired, report: MediaReport, *, silent: tuple[str, ...]) -> Path:
        """Keep the list, sealed with this operator's key; the path of the sealed summary."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        listed = self._folder / f"{self._name}.txt"
        self._file.replace(listed)
        summary = MissingList(
            fleet=wired.fleet.name,
            at=report.at,
            silent=silent,
            answered=tuple(one.store for one in report.stores if not one.error),
            index_site=report.index_site,
            expected=report.expected,
            objects=self.objects,
            bytes=self.bytes,
            list_sha256=self._sha256.hexdigest(),
            list_name=listed.name,
        )
        key = seal_key(wired)
        path = self._folder / f"{self._name}.json"
        path.write_bytes(key.seal(msgspec.json.encode(summary)))
        return path


def read_missing(path: Path, *, trusted: tuple[str, ...]) -> tuple[MissingList, list[str]]:
    """The summary and the lines of a sealed list. Raises ``Damaged`` when either is not what was sealed, ``Denied``
    when another fleet's operator sealed it."""
    summary = msgspec.json.decode(open_seal(path.read_bytes(), trusted=trusted, what=str(path)), type=MissingList)
    body = (path.parent / summary.list_name).read_bytes()
    if hashlib.sha256(body).hexdigest() != summary.list_sha256:
        raise Damaged("the list is not what was sealed", where=summary.list_name)
    return summary, body.decode().splitlines()
