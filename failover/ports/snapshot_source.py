"""Port: a PostgreSQL server that a snapshot is taken from, and its WAL. Reads only; blocks, so call it in a thread.

The connections carry names that are no member's, so that no commit ever waits for a backup (safety B1).
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from failover.model.snapshot import Digests
from failover.model.units import Lsn


class SourceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup has to know beforehand. ``summaries_from``: where the WAL summaries of this timeline begin, or
    ``None`` when none are kept. ``position``: flushed (primary) or replayed (standby). ``size_bytes``: of all
    databases, about; 0: not known."""

    system_identifier: str
    timeline: int
    recovering: bool
    position: Lsn
    version: str
    wal_segment_bytes: int
    summaries_from: Lsn | None = None
    size_bytes: int = 0


class ByteStream(Protocol):
    """Output of a program while it runs."""

    def read(self, size: int) -> bytes:
        """At most ``size`` bytes; empty at the end. Raises ``Unreachable`` at the end when the program failed, with
        its words: a cut stream never looks whole."""
        ...

    def close(self) -> None:
        """End the program if it still runs. Repeatable."""
        ...


class WalPiece(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive WAL from ``start``; ``server_end`` is how far the server's WAL went when it sent the last byte."""

    start: Lsn
    data: bytes
    server_end: Lsn

    @property
    def end(self) -> Lsn:
        """First byte after it."""
        return self.start + len(self.data)


class WalStream(Protocol):
    """One running replication connection."""

    def receive(self, *, max_bytes: int, max_wait_s: float) -> WalPiece | None:
        """What comes until either limit; ``None``: nothing came. Answers the server's questions meanwhile. Raises
        ``Unreachable`` when the connection is gone, ``EndOfTimeline`` where this timeline was left."""
        ...

    def acknowledge(self, lsn: Lsn) -> None:
        """Everything before is safe: the slot may let it go. Never goes back."""
        ...

    def close(self) -> None:
        """Hang up. Repeatable."""
        ...


class EndOfTimeline(Exception):
    """The server left this timeline at ``at`` and goes on with ``timeline``."""

    def __init__(self, *, timeline: int, at: Lsn) -> None:
        super().__init__(f"timeline {timeline} begins at {at}")
        self.timeline = timeline
        self.at = at


class SnapshotSource(Protocol):
    """One server. Every call raises ``Unreachable`` when it does not answer."""

    def facts(self) -> SourceFacts:
        """As of now."""
        ...

    def backup(self, *, parent_list: bytes) -> ByteStream:
        """A base backup as one tar, its file list (``backup_manifest``) the last member; incremental on the backup that
        ``parent_list`` describes, full when that is empty. The WAL it needs is inside."""
        ...

    def digests(self) -> tuple[Digests, ...]:
        """Content of every table at one LSN, exact; empty when no exact LSN could be had (the primary under load, a
        conflict with replay)."""
        ...

    def wal(self, *, timeline: int, start: Lsn, slot: str = "") -> WalStream:
        """Stream WAL from ``start``; through the slot when one is named. Raises ``EndOfTimeline`` when that timeline
        ends just there."""
        ...

    def history(self, timeline: int) -> bytes:
        """The timeline's history file. Timeline 1 has none: empty."""
        ...

    def ensure_slot(self, slot: str) -> Lsn | None:
        """Make the physical slot when it is missing; it holds WAL from now on. From where; ``None`` when the slot is
        there and has lost what it held. Repeatable."""
        ...

    def advance_slot(self, slot: str, lsn: Lsn) -> None:
        """Let the slot go of everything before ``lsn``, at most of what this server has flushed (primary) or replayed
        (standby). Never goes back; silent where there is no such slot, and where it is in use."""
        ...

    def drop_slot(self, slot: str) -> None:
        """Remove it; silent when there is none."""
        ...
