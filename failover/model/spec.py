"""HostSpec: everything that should run on one host. Made by ``planner/hostspec.py``, signed, sent to the agent's API.

Contains secrets (database passwords): it is stored mode 0600 on its host and never logged; ``repr`` hides them.
"""

from __future__ import annotations

import hashlib

import msgspec

from failover.model.secret import Secret, StoreKey
from failover.model.stores import StorePlace


class Ready(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the agent knows that a service answers: a TCP connect, or an HTTP GET that returns 200."""

    address: str
    port: int
    http_path: str = ""


class File(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file below the host's folder, written before its service starts. ``{host}`` in ``text`` becomes that folder."""

    path: str
    text: str
    mode: int = 0o600

    def __repr__(self) -> str:
        return f"File(path={self.path!r}, text=**redacted**)"


HOOK_BUDGET_S = 10.0
"""A ``quiesce`` or ``resume`` command that takes longer is ended and has failed."""


class ServiceSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One process. ``command[0]`` is a well-known program (python, etcd, haproxy, pdns_server) found by the agent on
    its own host, so the spec names no machine path; ``{host}`` becomes the host's folder everywhere.

    ``start`` "when_primary": stopped while this site is a standby (safety E4). ``once`` commands run to their end
    before the service starts and must be repeatable. ``gate`` names the socket the agent drives (below the folder).
    ``nice`` below 0: what a move waits for runs before the app. ``quiesce`` and ``resume`` are repeatable commands run
    around a move of an app without a gate of its own; ``stops_for_a_move``: stopped instead, before the hold.

    Defaults are left out of the digest: a field that a newer version adds restarts nothing that does not use it.
    """

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
    quiesce: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()
    stops_for_a_move: bool = False

    def __repr__(self) -> str:
        return f"ServiceSpec(name={self.name!r}, command={self.command!r}, environment=**redacted**)"

    def digest(self) -> str:
        """Changes when, and only when, the process must be started anew."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()


class DatabaseSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The PostgreSQL part. Agents touch PostgreSQL only when this part's digest changed."""

    port: int
    database: str
    app_role: str = "app"
    app_password: str
    replication_password: str
    keeper_password: str
    settings: dict[str, str] = msgspec.field(default_factory=dict)

    def digest(self) -> str:
        """Changes when PostgreSQL's configuration must change."""
        return hashlib.sha256(msgspec.json.encode(self)).hexdigest()

    def __repr__(self) -> str:
        return f"DatabaseSpec(port={self.port}, database={self.database!r}, passwords=**redacted**)"


class Peer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Another site of the fleet as this host reaches it. ``database_port`` 0: no database there."""

    site: str
    provider: str
    address: str
    agent_port: int
    database_port: int = 0
    edge_forward_port: int = 0


class StoreSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A store as a data site's agent reaches it, with its key."""

    place: StorePlace
    access_key: str
    secret: str

    def key(self) -> StoreKey:
        """What opens it."""
        return StoreKey(access_key=self.access_key, secret=Secret(self.secret))

    def __repr__(self) -> str:
        return f"StoreSpec(place={self.place!r}, key=**redacted**)"


class SealSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ed25519 key with which a host signs the WAL it ships."""

    secret: str

    def __repr__(self) -> str:
        return "SealSpec(**redacted**)"


class HostSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything one host should be. ``serial`` grows with each change; an agent refuses an older one.

    ``stores`` (all of the fleet's, at data sites) and ``recipients`` (who can open what is put there) are empty in a
    fleet without any, and there is no ``seal``.
    """

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
    stores: tuple[StoreSpec, ...] = ()
    recipients: tuple[str, ...] = ()
    seal: SealSpec | None = None

    def digest(self) -> str:
        """Identity of the content, without ``serial``: equal digests mean nothing to do."""
        return body_digest(msgspec.json.encode(self))


def body_digest(body: bytes) -> str:
    """``HostSpec.digest`` of a spec as it was sent: also of what a newer operator put in and this agent does not know,
    or an older agent would never be said to have what it was given."""
    content = msgspec.json.decode(body, type=dict[str, object])
    return hashlib.sha256(msgspec.json.encode({**content, "serial": 0})).hexdigest()
