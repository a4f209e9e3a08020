"""The values agents and commands of the version before exchanged, as they were: kept to be read against today's.

Never changed to follow the code. Replaced as a whole when a version is released.
"""

from __future__ import annotations

import msgspec

Lsn = int
MemberId = str


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    tli: int
    fork_lsn: Lsn


class Move(msgspec.Struct, frozen=True, kw_only=True):
    run: str
    kind: str  # "switchover" | "promote"
    source: MemberId
    target: MemberId
    budget_s: float


class Record(msgspec.Struct, frozen=True, kw_only=True):
    version: int = 1
    epoch: int
    revision: int
    primary: MemberId
    sync: tuple[MemberId, ...] = ()
    timelines: tuple[Timeline, ...] = ()
    move: Move | None = None
    flushed_lsn: Lsn = 0
    system_identifier: str = ""


class Replica(msgspec.Struct, frozen=True, kw_only=True):
    application_name: str
    state: str
    sync_state: str
    flush_lsn: Lsn
    replay_lsn: Lsn


class DatabaseFacts(msgspec.Struct, frozen=True, kw_only=True):
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
    name: str
    state: str
    pid: int = 0
    starts: int = 0
    digest: str = ""


class ProbeFacts(msgspec.Struct, frozen=True, kw_only=True):
    site: str
    database_failures: int
    database_ok_s_ago: float | None
    agent_failures: int
    agent_ok_s_ago: float | None
    verdict: str  # "up" | "down" | "unknown"


class GateFacts(msgspec.Struct, frozen=True, kw_only=True):
    state: str
    primary: str = ""
    epoch: int = 0
    in_flight: int = 0
    waiting: int = 0
    hold_run: str = ""
    open_writes: int | None = None


class AgentState(msgspec.Struct, frozen=True, kw_only=True):
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


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    port: int
    http_path: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True):
    path: str
    text: str
    mode: int = 0o600


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    command: tuple[str, ...]
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    files: tuple[File, ...] = ()
    once: tuple[tuple[str, ...], ...] = ()
    start: str = "always"
    ready: Ready | None = None
    gate: str = ""
    stop_timeout_s: float = 3.0
    nice: int = 0


class DatabaseSpec(msgspec.Struct, frozen=True, kw_only=True):
    port: int
    database: str
    app_role: str = "app"
    app_password: str
    replication_password: str
    keeper_password: str
    settings: dict[str, str] = msgspec.field(default_factory=dict)


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    site: str
    provider: str
    address: str
    agent_port: int
    database_port: int = 0
    edge_forward_port: int = 0


class HostSpec(msgspec.Struct, frozen=True, kw_only=True):
    fleet: str
    site: str
    serial: int
    role: str
    preferred: bool
    peers: tuple[Peer, ...]
    record_endpoints: tuple[str, ...]
    services: tuple[ServiceSpec, ...]
    database: DatabaseSpec | None = None
    migrate: ServiceSpec | None = None
    probe_every_s: float
    probe_failures: int
    probe_timeout_s: float
    standby_stale_s: float
    fresh_s: float
    keeper_lease_s: float
    promote: str
    on_standby_loss: str
