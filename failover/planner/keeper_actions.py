"""What a keeper's decision looks at and what it can answer: the facts, and the closed set of actions. Values only."""

from __future__ import annotations

import msgspec

from failover.model.observation import DatabaseFacts
from failover.model.record import Record, Timeline
from failover.model.units import MemberId
from failover.planner.verdict import Opinion


class KeeperFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a decision may look at.

    ``start_permit``: revision that our own swap gave the record for the coming start as primary (0: none).
    ``sent_revision``: newest revision we sent a swap from, or found when we began: what was sent from it, by us or by
    a predecessor, may be on its way until the record is past it.
    ``own_revision``: revision that a swap of ours gave the record (0: none since this copy last ran as a standby).
    ``move_age_s``: how long this keeper has known the record's move, on its own boot clock. ``move_ended_s``: how long
    ago it saw a planned move leave the record with the primary still the same (``None``: not in this reign).
    ``lost``: sync members that do not stream or whose flush stood still for too long while WAL was pending (B5).
    ``caught_up``: names shown by B2 to have flushed past a position read after the proof.
    ``copies``: member id that each live peer's agent reports for its site.
    ``opinions``: per site, what every observer that could be asked says of it.
    ``upstream_ready``: the record's primary runs as primary, or will within this epoch (its agent says so).
    ``alone_s``: seconds this primary has acknowledged alone, when it is time to publish them (0: not now).
    ``evidence_saved``: the WAL past the fork of this very copy is kept aside and counted.
    ``epoch_floor``: the newest epoch this host ever read; no record is older unless it was brought back (C8).
    """

    site: str
    record: Record | None
    db: DatabaseFacts
    start_permit: int = 0
    sent_revision: int = 0
    own_revision: int = 0
    move_age_s: float = 0.0
    move_ended_s: float | None = None
    lost: frozenset[str] = frozenset()
    caught_up: frozenset[str] = frozenset()
    copies: dict[str, str] = msgspec.field(default_factory=dict)
    opinions: dict[str, tuple[Opinion, ...]] = msgspec.field(default_factory=dict)
    providers: dict[str, str] = msgspec.field(default_factory=dict)
    upstream_ready: bool = False
    rejoin_failed: bool = False
    publish_flush: int = 0
    alone_s: float = 0.0
    now_unix_s: float = 0.0
    evidence_saved: bool = False
    epoch_floor: int = 0
    promote: str = "auto"
    on_standby_loss: str = "degrade"


class KeeperAction(msgspec.Struct, frozen=True, kw_only=True):
    """Root of what a keeper can do. ``why`` is shown by status and written to the agent's log."""

    why: str


class Idle(KeeperAction, frozen=True, kw_only=True):
    """Nothing to do now. ``trouble`` true: a person should know."""

    trouble: bool = False


class CreateDatabase(KeeperAction, frozen=True, kw_only=True):
    """initdb under this id: only in a fleet that never had data (epoch 0)."""

    member: MemberId


class Swap(KeeperAction, frozen=True, kw_only=True):
    """Compare-and-swap the record from the revision the decision saw. ``permits_start``: on success PostgreSQL may be
    started as primary."""

    expected_revision: int
    new: Record
    permits_start: bool = False


class StartPrimary(KeeperAction, frozen=True, kw_only=True):
    """Start read-write with exactly these sync names configured from the first moment."""

    names: tuple[str, ...]


class StartStandby(KeeperAction, frozen=True, kw_only=True):
    """Start as a standby of ``upstream``."""

    upstream: str
    names: tuple[str, ...]


class StopDatabase(KeeperAction, frozen=True, kw_only=True):
    """Stop. Immediate (not ``clean``) when the record says that another copy is primary."""

    clean: bool = False


class Rename(KeeperAction, frozen=True, kw_only=True):
    """The disk went back in time, which makes this another copy than its id says: a new id (safety B1)."""


class SetNames(KeeperAction, frozen=True, kw_only=True):
    """Configure the sync names and reload."""

    names: tuple[str, ...]


class ProveNames(KeeperAction, frozen=True, kw_only=True):
    """Show that the configured names are in force: new session, CHECKPOINT after it (safety B2)."""

    names: tuple[str, ...]


class Follow(KeeperAction, frozen=True, kw_only=True):
    """Point a running standby at another upstream."""

    upstream: str


class Promote(KeeperAction, frozen=True, kw_only=True):
    """Leave recovery: the record says this copy is primary."""

    timelines: tuple[Timeline, ...]


class Seed(KeeperAction, frozen=True, kw_only=True):
    """Base backup from ``upstream`` into an empty place, under a new member id."""

    upstream: str


class Rejoin(KeeperAction, frozen=True, kw_only=True):
    """Former primary behind a fork: save the WAL past it, rewind, take a new id; base backup when that fails."""

    upstream: str
    fork_lsn: int
    rewind: bool


class SaveEvidence(KeeperAction, frozen=True, kw_only=True):
    """Keep the WAL past the fork aside and count its commits; the data directory is only read."""

    fork_lsn: int
