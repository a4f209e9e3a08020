"""The fleet as declared: sites, providers, the app, its name, and the times that decide. Decoded by ``config``."""

from __future__ import annotations

import ipaddress
from enum import StrEnum

import msgspec

from failover.model.stores import MediaRules, SnapshotRules, StorePlace

# RFC 2544, routed nowhere: a local site with such an address has a network namespace of its own on this machine.
ISOLATED = ipaddress.ip_network("198.18.0.0/15")


class Role(StrEnum):
    """What a site may hold: ``data`` a copy of the database, ``witness`` only a vote."""

    DATA = "data"
    WITNESS = "witness"


class AppClass(StrEnum):
    """How writes can be held during a move, and so what a plan may promise (safety E3)."""

    G1 = "G1"
    G2 = "G2"
    G3 = "G3"
    G4 = "G4"


PROMISE = {
    AppClass.G1: "gate inside the app's pool and workers: 0 errors",
    AppClass.G2: "SQL pooler is the only way in: 0 errors for transactions within the budget",
    AppClass.G3: (
        "HTTP hold at the edge, workers quiesced: 0 errors for requests within the budget; streams end and are opened "
        "again (counted); what is left over is terminated and listed"
    ),
    AppClass.G4: "no gate: errors happen and are counted",
}


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """TCP ports of one site's host (``dns`` also UDP). All distinct on one address."""

    postgres: int = 5432
    edge: int = 8080
    forward: int = 8081
    agent: int = 7443
    etcd_client: int = 2379
    etcd_peer: int = 2380
    dns: int = 5300
    dns_api: int = 8053


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment at one provider. ``provider`` names the account that can be switched off as a whole."""

    name: str
    provider: str
    kind: str = "local"
    role: Role
    address: str
    ports: Ports = Ports()
    dns: bool = False
    voter: bool = True


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One process of the app at every data site. ``port`` is 0 for a process nobody connects to (a worker)."""

    name: str
    command: tuple[str, ...]
    port: int = 0
    start: str = "always"
    gate: bool = True
    health: str = "/health"
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    quiesce: tuple[str, ...] = ()
    resume: tuple[str, ...] = ()

    @property
    def stops_for_a_move(self) -> bool:
        """A worker that runs at the primary only and has no hook of its own: it is stopped before the hold."""
        return not self.port and self.start == "when_primary" and not self.quiesce


class HttpPaths(msgspec.Struct, frozen=True, kw_only=True):
    """What the edge of an app of class G3 must know of its addresses. All are beginnings of paths.

    ``streams`` (websockets, server-sent events) pass the hold, end with a move and are opened again by their clients.
    ``slow`` (long polls; long uploads are known by their size) are waited for *before* the hold, at most
    ``slow_budget_s``, so that nobody else waits for them.
    """

    streams: tuple[str, ...] = ()
    slow: tuple[str, ...] = ()
    slow_budget_s: float = 10.0


class App(msgspec.Struct, frozen=True, kw_only=True):
    """The app under failover: its database, its processes, how it is migrated and driven under load."""

    name: str
    promise: AppClass = AppClass.G1
    database: str = "app"
    migrate: tuple[str, ...] = ()
    services: tuple[Service, ...] = ()
    workload: str = ""
    settings: dict[str, str] = msgspec.field(default_factory=dict)
    environment: dict[str, str] = msgspec.field(default_factory=dict)
    http: HttpPaths = HttpPaths()


class Dns(msgspec.Struct, frozen=True, kw_only=True):
    """The app's public name. ``answer`` "edges": every live edge, so that a client with a dead address tries the
    next one without waiting for a TTL; "primary": the primary's edge only."""

    zone: str
    name: str
    ttl_s: int = 5
    answer: str = "edges"


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """The times that decide (safety D4, E1). Across the internet use ``probe_every_s`` 1."""

    probe_every_s: float = 0.25
    probe_failures: int = 3
    probe_timeout_s: float = 0.25
    standby_stale_s: float = 1.5
    fresh_s: float = 2.0
    keeper_lease_s: float = 5.0
    move_budget_s: float = 10.0
    hold_budget_s: float = 5.0


class Fleet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator declared. ``sites`` keeps the order of the file; ``preferred`` is where failback goes."""

    name: str
    sites: tuple[Site, ...]
    preferred: str
    app: App
    dns: Dns
    timing: Timing = Timing()
    promote: str = "auto"
    on_standby_loss: str = "degrade"
    record: str = "etcd"
    stores: tuple[StorePlace, ...] = ()
    snapshots: SnapshotRules | None = None
    media: MediaRules | None = None

    def site(self, name: str) -> Site:
        """The site called ``name``. Raises ``KeyError``."""
        for site in self.sites:
            if site.name == name:
                return site
        raise KeyError(name)

    def store_at(self, site: str) -> StorePlace | None:
        """The store that ``site`` runs itself, or ``None``."""
        return next((store for store in self.stores if store.site and store.site == site), None)

    @property
    def data_sites(self) -> tuple[Site, ...]:
        """Sites that hold a copy of the database."""
        return tuple(site for site in self.sites if site.role is Role.DATA)

    @property
    def witnesses(self) -> tuple[Site, ...]:
        """Sites that only vote."""
        return tuple(site for site in self.sites if site.role is Role.WITNESS)

    @property
    def voters(self) -> tuple[Site, ...]:
        """Sites with a voter of the record."""
        return tuple(site for site in self.sites if site.voter)

    @property
    def dns_sites(self) -> tuple[Site, ...]:
        """Sites whose provider also serves our zone."""
        return tuple(site for site in self.sites if site.dns)
