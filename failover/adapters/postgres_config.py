"""Texts of PostgreSQL's configuration files. Pure. They live beside the data directory, never in it: ``pg_rewind``
copied settings over a primary's own and gave it the other side's names (safety C4)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from failover.model.fleet import ISOLATED
from failover.model.spec import DatabaseSpec
from failover.ports.database import Upstream

REPLICATION_ROLE = "replicator"
KEEPER_ROLE = "keeper"

# What safety rests on; an app's settings cannot reach these (config refuses them).
_FIXED = {
    "wal_level": "replica",
    "hot_standby": "on",
    "synchronous_commit": "on",
    "wal_log_hints": "on",
    "restart_after_crash": "off",
    "allow_alter_system": "off",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "max_standby_streaming_delay": "250ms",
    "wal_retrieve_retry_interval": "50ms",
    "wal_receiver_status_interval": "1s",
    "wal_receiver_timeout": "5s",
    "wal_sender_timeout": "5s",
    "max_slot_wal_keep_size": "1GB",
    "logging_collector": "off",
    "log_line_prefix": "%m [%p] %q%a ",
    "log_min_messages": "warning",
}


def quoted(value: str) -> str:
    """A value as postgresql.conf wants it."""
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"


def sync_names(names: Sequence[str]) -> str:
    """``ANY n (all of them)`` with n = all: any single one may then be promoted alone; any other form lost writes
    in the model (safety B3)."""
    return f"ANY {len(names)} ({', '.join(names)})" if names else ""


def conninfo(upstream: Upstream, *, member: str, passfile: str) -> str:
    """Where a standby streams from. The password stays in ``passfile``."""
    return (
        f"host={upstream.address} port={upstream.port} user={REPLICATION_ROLE} application_name={member} "
        f"passfile={passfile} connect_timeout=2 keepalives_idle=2 keepalives_interval=1 keepalives_count=3 "
        f"tcp_user_timeout=4000"
    )


def server_config(
    spec: DatabaseSpec,
    *,
    address: str,
    names: Sequence[str],
    upstream: Upstream | None,
    member: str,
    passfile: str,
    timeline: str,
) -> str:
    """The whole postgresql.conf."""
    settings: dict[str, str] = dict(spec.settings)
    settings |= _FIXED
    settings |= {
        "listen_addresses": address,
        "port": str(spec.port),
        "synchronous_standby_names": sync_names(names),
        "recovery_target_timeline": timeline,
        "primary_conninfo": conninfo(upstream, member=member, passfile=passfile) if upstream else "",
        "primary_slot_name": member if upstream else "",
        "cluster_name": member,
    }
    lines = [f"{name} = {quoted(value)}" for name, value in sorted(settings.items())]
    return "# Written by the keeper; changes are overwritten.\n" + "\n".join(lines) + "\n"


def _network(address: str) -> str:
    # The kernel answers loopback from any 127.x source, so one local fleet is one network to PostgreSQL.
    if ipaddress.ip_address(address) in ISOLATED:
        return str(ISOLATED)
    return "127.0.0.0/8" if ipaddress.ip_address(address).is_loopback else f"{address}/32"


def access_rules(spec: DatabaseSpec, *, addresses: Iterable[str]) -> str:
    """The whole pg_hba.conf: the fleet's addresses, passwords always, nothing else."""
    lines = []
    for network in sorted({_network(address) for address in addresses}):
        lines.append(f"host {spec.database} {spec.app_role} {network} scram-sha-256")
        lines.append(f"host replication {REPLICATION_ROLE} {network} scram-sha-256")
        lines.append(f"host all {KEEPER_ROLE} {network} scram-sha-256")
    return "# Written by the keeper; changes are overwritten.\n" + "\n".join(lines) + "\n"


def pass_lines(spec: DatabaseSpec) -> str:
    """The password file of this host's own PostgreSQL programs."""
    return pass_line(REPLICATION_ROLE, spec.replication_password) + pass_line(KEEPER_ROLE, spec.keeper_password)


def pass_line(role: str, password: str) -> str:
    """One role's line of a password file, for every server."""
    return f"*:*:*:{role}:{password}\n"


def first_statements(spec: DatabaseSpec) -> str:
    """What single-user mode is fed once after initdb."""
    app, replication = spec.app_password, spec.replication_password
    return "\n".join(
        (
            # Iterations make guessing a person's password slow. Ours are 256 random bits, which nobody guesses, and
            # thousands of iterations for every connection are paid for in the middle of a move.
            "SET scram_iterations = 1;",
            f"ALTER ROLE {KEEPER_ROLE} PASSWORD {quoted(spec.keeper_password)};",
            f"CREATE ROLE {REPLICATION_ROLE} REPLICATION LOGIN PASSWORD {quoted(replication)};",
            f"CREATE ROLE {spec.app_role} LOGIN PASSWORD {quoted(app)};",
            f"CREATE DATABASE {spec.database} OWNER {spec.app_role};",
            "",
        )
    )


def history_file(parents: Sequence[tuple[int, str]]) -> str:
    """Text of a ``.history`` file: parent timelines with the LSN where each was left."""
    return "".join(f"{tli}\t{lsn}\tknown from the record\n" for tli, lsn in parents)


def control_values(text: str) -> Mapping[str, str]:
    """``pg_controldata`` output as a mapping. Its labels are stable with LC_ALL=C and our PostgreSQL major."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
