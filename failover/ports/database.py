"""Port: the PostgreSQL of one host, as its keeper handles it. Only the keeper calls this (safety C3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from failover.model.certificate import Certificate
from failover.model.observation import DatabaseFacts
from failover.model.record import AcceptedLoss, Timeline
from failover.model.units import Lsn, MemberId


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """Where another site's PostgreSQL answers."""

    site: str
    address: str
    port: int


class Database(Protocol):
    """Every call may be repeated. Calls that change something return when it is so, or raise ``Unreachable`` with
    what PostgreSQL said. Nothing here decides; nothing here reads the record."""

    async def facts(self) -> DatabaseFacts:
        """State now. Never raises for a database that is down: that is a fact too."""
        ...

    async def create(self, member: MemberId) -> None:
        """initdb with the app's role and database. Refuses an existing data directory."""
        ...

    async def start_primary(self, names: Sequence[str]) -> None:
        """Start read-write; ``standby.signal`` is back in place when this returns (C4)."""
        ...

    async def start_standby(self, upstream: Upstream | None, names: Sequence[str]) -> None:
        """Start in recovery, following ``upstream`` (``None``: nobody)."""
        ...

    async def stop(self, *, clean: bool, budget_s: float) -> bool:
        """Stop it. ``clean``: fast shutdown, which ships everything first; ``False`` when ``budget_s`` was not enough
        and it was stopped hard."""
        ...

    async def set_names(self, names: Sequence[str]) -> None:
        """Configure the sync names and reload."""
        ...

    async def prove_names(self, names: Sequence[str]) -> Lsn:
        """Show by a new session and a CHECKPOINT after it that ``names`` are in force; the position read after."""
        ...

    async def apply_settings(self) -> tuple[str, ...]:
        """Have a running server read what the spec says now; the settings that wait for its next start."""
        ...

    async def follow(self, upstream: Upstream) -> None:
        """Point the running standby elsewhere."""
        ...

    async def promote(self, timelines: Sequence[Timeline]) -> None:
        """Leave recovery on a timeline that none of ``timelines`` but the last has (C5), on the ground of the look just
        made. Sessions inside a transaction are ended: they would hold up replay and with it the promotion (D2)."""
        ...

    async def seed(self, upstream: Upstream, member: MemberId) -> None:
        """Base backup into an empty place; streams under a name that is no member's (B1)."""
        ...

    async def save_evidence(self, fork_lsn: Lsn, accepted: AcceptedLoss | None) -> Certificate:
        """Copy the stopped database's WAL past the fork aside and count its commits (C6). Saved once per copy and
        fork: the second call answers with the first one's certificate."""
        ...

    def certificates(self) -> tuple[Certificate, ...]:
        """Everything saved on this host. Raises ``Damaged`` when one was changed since."""
        ...

    async def rewind(self, upstream: Upstream, member: MemberId) -> bool:
        """pg_rewind to ``upstream`` under a new id; ``False`` when it cannot (then a base backup is needed)."""
        ...

    async def rename(self, member: MemberId) -> None:
        """Give the copy of a stopped database another id."""
        ...

    async def discard(self) -> None:
        """Remove the data directory of a stopped database, to be seeded anew."""
        ...

    async def heartbeat(self) -> Lsn:
        """Write a non-transactional logical message; its end position (B5)."""
        ...

    async def hasten(self, seconds: float) -> None:
        """Run the server, also one that is started meanwhile, before the app for so long: a move waits for it."""
        ...

    async def received(self) -> Lsn:
        """How far this standby has flushed what it received: one cheap question."""
        ...

    async def ensure_slots(self, members: Sequence[str]) -> None:
        """Replication slots for exactly these members exist here."""
        ...

    async def checkpoint(self) -> None:
        """CHECKPOINT, or a restartpoint on a standby."""
        ...

    async def end_strangers(self, members: Sequence[str]) -> None:
        """Terminate walsenders that are not of ``members``: a clean stop waits for every one of them (D1)."""
        ...

    async def end_writers(self) -> tuple[str, ...]:
        """Terminate sessions with an open write transaction; what they were."""
        ...
