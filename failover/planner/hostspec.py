"""Fleet and secrets -> the HostSpec of one site: everything that should run on that host. Pure.

Each service has a file of its own (``hostspec_*.py``). What must never be here: machine paths (``{host}`` and
well-known program names stand for them), and settings the keeper owns (see ``KEEPER_OWNED``).
"""

from __future__ import annotations

from failover.errors import ConfigError
from failover.model.fleet import Fleet, Role, Site
from failover.model.secret import FleetSecrets
from failover.model.spec import DatabaseSpec, HostSpec, Peer, SealSpec, ServiceSpec, StoreSpec
from failover.planner.hostspec_app import APP_ROLE, app_services, migrate_service
from failover.planner.hostspec_dns import dns_service
from failover.planner.hostspec_edge import edge_service
from failover.planner.hostspec_etcd import etcd_service
from failover.planner.hostspec_store import store_service

# Names and commit level are the fence, conninfo names the copy (safety B1, C4): an operator's setting that changed one
# of them would break a law in silence, so it is refused here as well as by ``validate``.
KEEPER_OWNED = frozenset({
    "archive_cleanup_command", "config_file", "data_directory", "fsync", "full_page_writes", "hba_file",
    "hot_standby", "listen_addresses", "max_standby_streaming_delay", "port", "primary_conninfo", "primary_slot_name",
    "recovery_target_timeline", "restart_after_crash", "restore_command", "synchronous_commit",
    "synchronous_standby_names", "unix_socket_directories", "wal_level", "wal_log_hints",
})  # fmt: skip

_SETTINGS = {
    "shared_buffers": "64MB",
    # Processes x pool x sites: all pools of both sites point at one primary, and a rolling restart doubles a process.
    "max_connections": "120",
    "max_wal_senders": "10",
    "max_replication_slots": "10",
    "wal_keep_size": "64MB",
    # A dead standby's slot may not fill the primary's disk (safety F3); past this the standby is seeded anew.
    "max_slot_wal_keep_size": "1GB",
    # pg_rewind copies the source's whole pg_wal, so a large one is paid for in the minutes after a rescue.
    "min_wal_size": "48MB",
    "max_wal_size": "192MB",
    "checkpoint_timeout": "2min",
    "checkpoint_completion_target": "0.9",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_min_duration_statement": "1s",
    "log_checkpoints": "on",
    "log_lock_waits": "on",
    "log_line_prefix": "%m [%p] %q%u@%d ",
}


def host_spec(fleet: Fleet, site: Site, secrets: FleetSecrets, *, serial: int) -> HostSpec:
    """Everything ``site``'s host should be.

    Invariant: equal arguments give an equal spec, byte by byte; only ``serial`` is outside its digest. Raises
    ``ConfigError`` when the fleet asks for what no host can be.
    """
    timing = fleet.timing
    holds_data = site.role is Role.DATA
    return HostSpec(
        fleet=fleet.name,
        site=site.name,
        serial=serial,
        role=str(site.role.value),
        preferred=site.name == fleet.preferred,
        peers=tuple(_peer(other) for other in fleet.sites if other.name != site.name),
        record_endpoints=record_endpoints(fleet, nearest=site),
        services=_services(fleet, site, secrets),
        database=_database(fleet, site, secrets) if holds_data else None,
        migrate=migrate_service(fleet, site, secrets) if holds_data and fleet.app.migrate else None,
        probe_every_s=timing.probe_every_s,
        probe_failures=timing.probe_failures,
        probe_timeout_s=timing.probe_timeout_s,
        standby_stale_s=timing.standby_stale_s,
        fresh_s=timing.fresh_s,
        keeper_lease_s=timing.keeper_lease_s,
        promote=fleet.promote,
        on_standby_loss=fleet.on_standby_loss,
        stores=_stores(fleet, secrets) if holds_data else (),
        recipients=fleet.snapshots.recipients if holds_data and fleet.snapshots is not None else (),
        seal=_seal(fleet, site, secrets) if holds_data else None,
    )


def record_endpoints(fleet: Fleet, *, nearest: Site | None = None) -> tuple[str, ...]:
    """``https://address:port`` of the voters to ask; empty without etcd.

    A host asks its own voter, then the witnesses', and no other data site's: whenever a majority lives, one of these is
    in it, and on the worst day nobody keeps calling the site that is gone. An operator asks witnesses first, then all.
    """
    if fleet.record != "etcd":
        return ()
    voters = sorted(fleet.voters, key=lambda voter: voter.role is not Role.WITNESS)
    if nearest in voters and voters[0].role is Role.WITNESS:
        voters = [nearest, *(voter for voter in voters if voter.role is Role.WITNESS and voter != nearest)]
    return tuple(f"https://{voter.address}:{voter.ports.etcd_client}" for voter in voters)


def _services(fleet: Fleet, site: Site, secrets: FleetSecrets) -> tuple[ServiceSpec, ...]:
    services: list[ServiceSpec] = []
    if site.voter and fleet.record == "etcd":
        services.append(etcd_service(fleet, site))
    if site.dns:
        services.append(dns_service(fleet, site, secrets))
    if site.role is Role.DATA:
        services.extend(app_services(fleet, site, secrets))
        services.append(edge_service(fleet, site))
    store = fleet.store_at(site.name)
    if store is not None and store.name in secrets.store_keys:
        services.append(store_service(site, store.kind, secrets.store_keys[store.name]))
    return tuple(services)


def _stores(fleet: Fleet, secrets: FleetSecrets) -> tuple[StoreSpec, ...]:
    """Each store whose key is known here; ``deploy`` refuses before it would leave one out."""
    keys = secrets.store_keys
    return tuple(
        StoreSpec(place=store, access_key=keys[store.name].access_key, secret=keys[store.name].secret.reveal())
        for store in fleet.stores
        if store.name in keys
    )


def _seal(fleet: Fleet, site: Site, secrets: FleetSecrets) -> SealSpec | None:
    """Of a host whose WAL is shipped."""
    if not fleet.stores or fleet.snapshots is None or site.name not in secrets.wal_seals:
        return None
    return SealSpec(secret=secrets.wal_seals[site.name].reveal())


def _peer(other: Site) -> Peer:
    holds_data = other.role is Role.DATA
    return Peer(
        site=other.name,
        provider=other.provider,
        address=other.address,
        agent_port=other.ports.agent,
        database_port=other.ports.postgres if holds_data else 0,
        edge_forward_port=other.ports.forward if holds_data else 0,
    )


def _database(fleet: Fleet, site: Site, secrets: FleetSecrets) -> DatabaseSpec:
    owned = sorted(KEEPER_OWNED.intersection(name.lower() for name in fleet.app.settings))
    if owned:
        raise ConfigError(
            f"app.settings may not set {', '.join(owned)}: the keeper owns them",
            hint="remove them: the fence and the identity of the copies depend on their values",
        )
    return DatabaseSpec(
        port=site.ports.postgres,
        database=fleet.app.database,
        app_role=APP_ROLE,
        app_password=secrets.app_password.reveal(),
        replication_password=secrets.replication_password.reveal(),
        keeper_password=secrets.keeper_password.reveal(),
        settings=dict(sorted({**_SETTINGS, **_snapshot_settings(fleet), **fleet.app.settings}.items())),
    )


def _snapshot_settings(fleet: Fleet) -> dict[str, str]:
    """An incremental names its blocks by WAL summaries. They must outlast the time between two snapshots."""
    return {} if fleet.snapshots is None else {"summarize_wal": "on", "wal_summary_keep_time": "10d"}
