"""The lost-write certificate: what a former primary had written past the fork, counted and kept before anything of it
is rewound or removed (safety C6). Values only; ``adapters/postgres_evidence`` makes one.
"""

from __future__ import annotations

import hashlib

import msgspec

from failover.model.record import AcceptedLoss

SCHEMA = "failover/certificate/v1"


class SavedWal(msgspec.Struct, frozen=True, kw_only=True):
    """One segment of the kept WAL."""

    name: str
    size_bytes: int
    sha256: str


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """``commits`` counts the transactions committed between ``fork_lsn`` and ``end_lsn`` (as PostgreSQL writes LSNs) of
    ``member``, by ``pg_waldump``. ``accepted`` is the promotion that left them behind; without one they were never
    acknowledged, because commits waited for the copy that took over. ``folder`` is on that site's host.
    ``digest`` is of everything else in it.
    """

    schema: str = SCHEMA
    id: str
    site: str
    member: str
    system_identifier: str
    timeline: int
    fork_lsn: str
    end_lsn: str
    wal_bytes: int
    commits: int
    saved_at: str
    folder: str
    files: tuple[SavedWal, ...]
    accepted: AcceptedLoss | None = None
    digest: str = ""

    def sealed(self) -> Certificate:
        """With its digest."""
        return msgspec.structs.replace(self, digest=self._content_digest())

    @property
    def intact(self) -> bool:
        """Nothing in it was changed since it was sealed."""
        return self.digest == self._content_digest()

    @property
    def lost_commits(self) -> int:
        """Commits that may have been acknowledged and are gone: an upper bound, as commits without a client count."""
        return self.commits if self.accepted is not None else 0

    def _content_digest(self) -> str:
        blank = msgspec.json.encode(msgspec.structs.replace(self, digest=""))
        return f"sha256:{hashlib.sha256(blank).hexdigest()}"


def certificate_id(member: str, fork_lsn: str) -> str:
    """The same for the same copy and fork, so that saving twice keeps one."""
    return f"{member}-{fork_lsn.replace('/', '_')}"
