"""Keeps the WAL past a fork aside and counts its commits, before a former primary's copy is touched (safety C6).

Reads the data directory of a stopped server and writes beside it only. What must never be here: a decision.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.postgres_server import PostgresServer
from failover.errors import Damaged, Unreachable
from failover.model.certificate import Certificate, SavedWal, certificate_id
from failover.model.record import AcceptedLoss
from failover.model.units import Lsn, format_lsn, parse_lsn, segment_name, utc_text

_FILE = "certificate.json"
# pg_waldump's own statistics: one row per kind of record, whatever the size of the WAL.
_COUNTED = re.compile(r"^Transaction/COMMIT(?:_PREPARED)?\s+(\d+)\s", re.ASCII | re.MULTILINE)
_STRETCH = re.compile(r"^WAL statistics between ([0-9A-F]+/[0-9A-F]+) and ([0-9A-F]+/[0-9A-F]+):", re.MULTILINE)
_NOTHING = re.compile(r"could not find a valid record after", re.ASCII)


class PostgresEvidence:
    """The certificates of one host, below ``evidence/``."""

    def __init__(self, files: PostgresFiles, server: PostgresServer) -> None:
        self._files = files
        self._server = server

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._files.host_dir / "evidence"

    def all(self) -> tuple[Certificate, ...]:
        """Every certificate of this host. Raises ``Damaged`` for one whose content is not what was sealed."""
        return tuple(_read(path) for path in sorted(self.folder.glob(f"*/{_FILE}")))

    def of(self, member: str) -> Certificate | None:
        """The certificate of this copy, when there is one."""
        return next((one for one in self.all() if one.member == member), None)

    async def save(
        self,
        fork_lsn: Lsn,
        *,
        system_identifier: str,
        timeline: int,
        segment_bytes: int,
        accepted: AcceptedLoss | None,
    ) -> Certificate:
        """Copy the segments from the fork on, count what committed in them, seal it. One that is there stays: a rewind
        that was cut off has changed the WAL since. Raises ``Unreachable`` when the WAL cannot be read."""
        member = self._files.member
        name = certificate_id(member, format_lsn(fork_lsn))
        place = self.folder / name
        if (place / _FILE).exists():
            return _read(place / _FILE)
        fresh = self.folder / f".{name}.new"
        await asyncio.to_thread(shutil.rmtree, fresh, True)
        saved = await asyncio.to_thread(_copy, self._segments(fork_lsn, timeline, segment_bytes), fresh)
        commits, end = await self._count(fresh, fork_lsn, timeline) if saved else (0, fork_lsn)
        sealed = Certificate(
            id=name,
            site=self._files.site,
            member=member,
            system_identifier=system_identifier,
            timeline=timeline,
            fork_lsn=format_lsn(fork_lsn),
            end_lsn=format_lsn(end),
            wal_bytes=end - fork_lsn,
            commits=commits,
            saved_at=utc_text(datetime.now(UTC)),
            folder=str(place),
            files=saved,
            accepted=accepted,
        ).sealed()
        self._files.write(fresh / _FILE, msgspec.json.format(msgspec.json.encode(sealed)).decode() + "\n")
        await asyncio.to_thread(_put, fresh, place)
        return sealed

    def _segments(self, fork_lsn: Lsn, timeline: int, segment_bytes: int) -> list[Path]:
        first = segment_name(timeline, fork_lsn, segment_bytes)
        wal = sorted(path for path in (self._files.data / "pg_wal").iterdir() if len(path.name) == len(first))
        # One that was made ahead of its time holds zeros only, or nothing. pg_waldump asks the first file of a folder,
        # in no order, for the segments' size, and then reads none of the others: such a copy was never taken back.
        return [path for path in wal if path.name >= first and path.name[:8] == first[:8] and _begun(path)]

    async def _count(self, folder: Path, fork_lsn: Lsn, timeline: int) -> tuple[int, Lsn]:
        said = await self._server.look_at_files(
            "pg_waldump", "--path", str(folder), "--timeline", str(timeline), "--start", format_lsn(fork_lsn),
            "--stats=record", deadline_s=600.0,
        )  # fmt: skip
        stretch = _STRETCH.search(said)
        if stretch is None:
            if _NOTHING.search(said):
                return 0, fork_lsn
            raise Unreachable(f"the WAL past the fork cannot be counted: {said.strip()[-300:]}", where=str(folder))
        return sum(int(number) for number in _COUNTED.findall(said)), max(fork_lsn, parse_lsn(stretch[2]))


def _read(path: Path) -> Certificate:
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Certificate)
    except msgspec.MsgspecError as error:
        raise Damaged(f"a certificate cannot be read: {error}", where=str(path)) from error
    if not found.intact:
        raise Damaged("a certificate is not what was sealed: somebody changed it", where=str(path))
    return found


def _begun(segment: Path) -> bool:
    """Something was written to it: its first page begins with a magic number, never 0 (``xlog_internal.h``)."""
    with segment.open("rb") as file:
        return any(file.read(2))


def _copy(paths: Sequence[Path], folder: Path) -> tuple[SavedWal, ...]:
    folder.mkdir(parents=True, mode=0o700)
    saved = []
    for path in paths:
        shutil.copy2(path, folder / path.name)
        content = (folder / path.name).read_bytes()
        saved.append(SavedWal(name=path.name, size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest()))
    return tuple(saved)


def _put(fresh: Path, place: Path) -> None:
    """On disk before anything of the copy is touched, and in place whole."""
    for path in (*fresh.iterdir(), fresh):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    shutil.rmtree(place, ignore_errors=True)
    fresh.rename(place)
    parent = os.open(place.parent, os.O_RDONLY)
    os.fsync(parent)
    os.close(parent)
