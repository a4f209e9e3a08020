"""What an agent says of its host, and what the operator's side has seen of the fleet. Every value has an age.

``None`` or "unknown" means *not known*; nothing may read it as good or bad.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from failover.model.record import Record
from failover.model.units import Lsn

Duty = Literal["ship", "keep", "rest"]
"""Of a WAL shipper: at the primary; keep a slot at a standby; nothing, because PostgreSQL is about to stop."""


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    """A row of ``pg_stat_replication`` at the primary."""

    application_name: str
    state: str
    sync_state: str
    flush_lsn: Lsn
    replay_lsn: Lsn


class DatabaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The local PostgreSQL as its keeper sees it.

    ``state``: "absent" (no data directory), "stopped", "starting", "primary", "standby". ``member`` is the id kept
    beside the data directory ("" when none). ``names`` are the sync names configured; ``names_proven`` those shown by
    B2 to be in force since this start. ``fork_lsn`` is where the timeline left its parent (0 on the first).
    ``position`` is the write position of a primary, the flushed receive position of a standby, and where the WAL of a
    stopped copy ends; ``open_writes`` counts sessions with an assigned transaction id. ``clean_shutdown``,
    ``was_primary`` and ``checkpoint_lsn`` come from the control file and mean something only while it is stopped.
    """

    state: str
    member: str = ""
    system_identifier: str = ""
    timeline: int = 0
    fork_lsn: Lsn = 0
    position: Lsn = 0
    replayed: Lsn = 0
    flushed: Lsn = 0
    upstream: str = ""
    streaming: bool = False
    names: tuple[str, ...] = ()
    names_proven: tuple[str, ...] | None = None
    replicas: tuple[Replica, ...] = ()
    open_writes: int = 0
    clean_shutdown: bool = False
    was_primary: bool = False
    checkpoint_lsn: Lsn = 0


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One service of the host: "running", "starting", "stopped" (on purpose) or "failed". ``pid`` 0: none."""

    name: str
    state: str
    pid: int = 0
    starts: int = 0
    digest: str = ""


class ProbeFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What this host's prober knows of a peer: consecutive failures and the age of the last good answer.
    ``position``: how far its PostgreSQL had come when its agent last said so (0: never)."""

    site: str
    database_failures: int
    database_ok_s_ago: float | None
    agent_failures: int
    agent_ok_s_ago: float | None
    verdict: str  # "up" | "down" | "unknown"
    position: Lsn = 0


class GateFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The gates of this host's app processes, as one: "open", "hold" or "unknown" (a process did not answer).
    ``open_writes``: write transactions open in PostgreSQL here, in the answer to a hold; ``None``: not asked.
    ``streams``: open websockets and the like, which pass an edge's hold and end with a move."""

    state: str
    primary: str = ""
    epoch: int = 0
    in_flight: int = 0
    waiting: int = 0
    hold_run: str = ""
    open_writes: int | None = None
    streams: int = 0


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate of a quarantined copy, in short."""

    id: str
    commits: int
    wal_bytes: int


class StoreBehind(msgspec.Struct, frozen=True, kw_only=True):
    """A store that lacks something of what was shipped, and why."""

    store: str
    why: str


class ShippingFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a host's WAL shipper said last. Everything before ``acknowledged_lsn`` is in stores of two providers;
    ``exposure_bytes`` and ``exposure_s`` are the size and the age of what is not (``None``: not known).

    ``behind``: stores that lack something. ``error``: why nothing is shipped now. ``snapshot_wanted``: WAL was
    lost before two stores had it, so what is shipped now leads on from no snapshot until there is a newer one."""

    duty: Duty
    acknowledged_lsn: Lsn = 0
    exposure_bytes: int | None = None
    exposure_s: float | None = None
    slot: str = ""
    error: str = ""
    timeline: int = 0
    behind: tuple[StoreBehind, ...] = ()
    snapshot_wanted: str = ""


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of ``GET /v1/state``. ``record_s_ago`` is the age of the last linearizable read (``None``: never),
    ``record_known_s`` how long this agent has known this revision. ``kept``: what a quarantined copy has saved.
    ``shipping``: ``None`` where no WAL is shipped.

    Agents of the version before and after this one are asked, too: a field that is added has a default, which means
    not known, and is never removed."""

    site: str
    provider: str
    role: str
    version: str
    boot: str
    spec_serial: int
    spec_digest: str
    record: Record | None
    record_s_ago: float | None
    database: DatabaseFacts
    services: tuple[ServiceFacts, ...]
    gate: GateFacts
    probes: tuple[ProbeFacts, ...]
    serving: bool
    unprotected_s: float
    doing: str
    trouble: tuple[str, ...] = ()
    voter_leader: bool = False
    record_known_s: float = 0.0
    kept: Kept | None = None
    shipping: ShippingFacts | None = None


class SiteSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One site from the operator's machine: its agent's answer, or why there is none (``error`` not empty)."""

    site: str
    state: AgentState | None
    error: str
    seen_s_ago: float | None


class FleetSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Everything observed in one look. ``record_error`` says why ``record`` is unknown, when it is. ``at_unix_s``: wall
    clock of the look, for upper bounds."""

    sites: tuple[SiteSeen, ...]
    record: Record | None
    record_error: str = ""
    at_unix_s: float = 0.0

    def site(self, name: str) -> SiteSeen:
        """The look at ``name``. Raises ``KeyError``."""
        for seen in self.sites:
            if seen.site == name:
                return seen
        raise KeyError(name)
