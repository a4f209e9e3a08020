"""Port: a restored copy of the database on this machine, never a member of a fleet. Blocks; call it in a thread.

Before its first start everything is taken out of it by which it could be taken for a member, reach one, or be reached:
settings, connection to a primary, slots, signal files (safety B1).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from failover.model.snapshot import TableDigest
from failover.model.units import Lsn


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """Where replay ends: just ``before`` the first record at or after ``lsn``, just ``after`` it, or where the backup
    is ``consistent``. ``timeline`` 0: the backup's own."""

    where: Literal["before", "after", "consistent"]
    lsn: Lsn
    timeline: int = 0


class Scratch(Protocol):
    """One data directory. Every call raises ``Damaged`` when what was restored is wrong."""

    def verify_files(self, folder: Path) -> None:
        """``pg_verifybackup``: every byte is what the server sent, and the WAL it needs is there."""
        ...

    def combine(self, folders: Sequence[Path], into: Path) -> None:
        """A full backup and its incrementals in order to one data directory. ``into`` does not exist yet."""
        ...

    def recover(self, folder: Path, *, arrival: Arrival, wal: Path | None, lasting: bool) -> None:
        """Strip it, start it and replay up to ``arrival``. ``wal``: a folder of further segments and history files.
        Never ends earlier: ``Damaged`` when the WAL has a hole. ``lasting`` false: a copy for a look, not synced to
        disk."""
        ...

    def last_record(self, wal: Path, *, timeline: int, start: Lsn) -> Lsn:
        """Where the last whole record after ``start`` in the folder begins; 0 when there is none."""
        ...

    def first_end_after(self, wal: Path, *, timeline: int, start: Lsn, moment: datetime) -> Lsn:
        """Where the first record after ``start`` begins with which a transaction ended later than ``moment``; 0 when
        the folder has none."""
        ...

    def check_structure(self, database: str) -> None:
        """amcheck of every table and index, and that every row is in its indexes."""
        ...

    def digests(self, database: str) -> tuple[TableDigest, ...]:
        """Content of every table."""
        ...

    def sweep(self, folder: Path) -> None:
        """End a server that a killed run left on this directory."""
        ...

    def stop(self) -> None:
        """Clean stop; repeatable. The directory stays."""
        ...
