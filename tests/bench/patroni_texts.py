"""What Patroni's side of the comparison is configured with: addresses, argument lists, configuration texts. Pure.

The PostgreSQL settings are the ones our keeper writes, taken from it, less those that Patroni owns. Patroni's times are
its enforced minima; where HAProxy has a choice the one that is quicker for Patroni is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from failover.adapters import postgres_config
from failover.adapters.programs import locate
from failover.config.fleet import load_fleet
from failover.model.secret import FleetSecrets, Secret
from failover.planner.hostspec import host_spec

ROOT = Path(__file__).parents[2]
BLOCK = "127.120.0"
DATA_SITES = ("one", "two")
SITES = (*DATA_SITES, "three")
ADDRESSES = dict(zip(SITES, (f"{BLOCK}.1", f"{BLOCK}.2", f"{BLOCK}.3"), strict=True))
# What clients use stands outside of every site: no fault of ours reaches it.
FRONT = f"{BLOCK}.9"
FRONT_PORT, POOL_PORT, WEB_PORTS = 8080, 5000, (9001, 9002)
POSTGRES_PORT, REST_PORT, ETCD_CLIENT_PORT, ETCD_PEER_PORT = 5432, 8008, 2379, 2380
DATABASE = APP_ROLE = "app"

# Enforced by Patroni's validator; loop_wait + 2 * retry_timeout <= ttl.
TTL_S, LOOP_WAIT_S, RETRY_TIMEOUT_S = 20, 1, 3

# How long a request is waited for, by the generator, HAProxy and the app alike: longer than any outage measured here.
PATIENCE_S = 60

_PATRONI_OWNS = frozenset({
    "allow_alter_system", "cluster_name", "hot_standby", "listen_addresses", "port", "primary_conninfo",
    "primary_slot_name", "recovery_target_timeline", "restart_after_crash", "synchronous_standby_names", "wal_level",
    "wal_log_hints",
})  # fmt: skip
_SETTING = re.compile(r"^(\w+) = '(.*)'$", re.MULTILINE)


def app_settings() -> dict[str, str]:
    """Settings of our own PostgreSQL on the default fleet that Patroni leaves to its operator."""
    fleet = load_fleet(ROOT / "stacks" / "fleet.yaml")
    nothing = Secret("")
    secrets = FleetSecrets(
        app_password=nothing, replication_password=nothing, keeper_password=nothing, pulumi_passphrase=nothing,
        dns_api_keys={site.name: nothing for site in fleet.sites}, bootstrap_tokens={},
    )  # fmt: skip
    spec = host_spec(fleet, fleet.data_sites[0], secrets, serial=1).database
    assert spec is not None, "a data site has a database"
    text = postgres_config.server_config(
        spec, address="", names=(), upstream=None, member="", passfile="", timeline="latest"
    )
    found = {name: value.replace("''", "'").replace("\\\\", "\\") for name, value in _SETTING.findall(text)}
    return {name: value for name, value in found.items() if name not in _PATRONI_OWNS}


def etcd_command(site: str) -> list[str]:
    """A voter of its own, with the heartbeat and election times of ours; without TLS, which costs Patroni nothing."""
    client, peer = f"http://{ADDRESSES[site]}:{ETCD_CLIENT_PORT}", f"http://{ADDRESSES[site]}:{ETCD_PEER_PORT}"
    voters = ",".join(f"{name}=http://{address}:{ETCD_PEER_PORT}" for name, address in ADDRESSES.items())
    options = {
        "name": site, "data-dir": "etcd", "listen-client-urls": client, "advertise-client-urls": client,
        "listen-peer-urls": peer, "initial-advertise-peer-urls": peer, "initial-cluster": voters,
        "initial-cluster-state": "new", "initial-cluster-token": "patroni-bench", "heartbeat-interval": "50",
        "election-timeout": "500", "pre-vote": "true", "logger": "zap", "log-outputs": "stderr", "log-level": "warn",
    }  # fmt: skip
    return [locate("etcd")[0], *(f"--{name}={value}" for name, value in options.items())]


def patroni_config(site: str, *, folder: Path, strict: bool) -> str:
    """YAML, written as the JSON that it also is. ``strict``: see ``synchronous_mode_strict`` in Patroni's manual."""
    address = ADDRESSES[site]
    rest, server = f"{address}:{REST_PORT}", f"{address}:{POSTGRES_PORT}"
    hosts = [f"{voter}:{ETCD_CLIENT_PORT}" for voter in ADDRESSES.values()]
    dynamic = {
        "ttl": TTL_S, "loop_wait": LOOP_WAIT_S, "retry_timeout": RETRY_TIMEOUT_S,
        "synchronous_mode": True, "synchronous_mode_strict": strict,
        "postgresql": {"use_pg_rewind": True, "use_slots": True, "parameters": app_settings()},
    }  # fmt: skip
    access = [
        f"host {DATABASE} {APP_ROLE} 127.0.0.0/8 scram-sha-256",
        "host all postgres 127.0.0.0/8 trust",
        "host replication replicator 127.0.0.0/8 trust",
    ]
    config = {
        "scope": "bench", "name": site, "log": {"level": "INFO"},
        "restapi": {"listen": rest, "connect_address": rest},
        # Its own voter first, as anybody would; the others follow.
        "etcd3": {"hosts": sorted(hosts, key=lambda host: not host.startswith(f"{address}:"))},
        "bootstrap": {"dcs": dynamic, "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, {"auth": "trust"}]},
        "postgresql": {
            "listen": server, "connect_address": server, "data_dir": str(folder / "postgres"),
            "bin_dir": str(Path(locate("postgres")[0]).parent), "pgpass": str(folder / "pgpass"), "pg_hba": access,
            "authentication": {"superuser": {"username": "postgres"}, "replication": {"username": "replicator"}},
            "parameters": {"unix_socket_directories": ""},
        },
    }  # fmt: skip
    return json.dumps(config, indent=1)


def haproxy_config() -> str:
    """The pooled port in front of both databases, and the app's public port with the checks our edge uses."""
    return f"""global
  log stderr format timed local0 notice
  maxconn 9000
  no strict-limits
  nbthread 1

defaults
  log global
  timeout connect 1s
  timeout client 1h
  timeout server 1h

listen database
  mode tcp
  bind {FRONT}:{POOL_PORT}
  option httpchk
  http-check send meth GET uri /primary
  http-check expect status 200
  default-server check port {REST_PORT} inter 500ms fastinter 100ms downinter 100ms fall 2 rise 1
  default-server on-marked-down shutdown-sessions
{_servers([f"{ADDRESSES[site]}:{POSTGRES_PORT}" for site in DATA_SITES])}

listen app
  mode http
  bind {FRONT}:{FRONT_PORT}
  timeout http-keep-alive 60s
  balance roundrobin
  option http-server-close
  http-reuse never
  timeout server {PATIENCE_S}s
  timeout check 2s
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
  http-request disable-l7-retry unless METH_GET
  option httpchk
  http-check send meth GET uri /health
  http-check expect status 200
  default-server check inter 500ms fastinter 100ms downinter 250ms fall 2 rise 1
{_servers([f"{FRONT}:{port}" for port in WEB_PORTS])}
"""


def _servers(places: Sequence[str]) -> str:
    return "\n".join(f"  server s{number} {place}" for number, place in enumerate(places, 1))


def app_environment(base: Mapping[str, str], *, databases_file: Path, media: Path) -> dict[str, str]:
    """``base`` with what the app needs; never a gate: nothing would open it here."""
    kept = {name: value for name, value in base.items() if not name.startswith("APP_")}
    return {
        **kept, "PYTHONPATH": str(ROOT), "APP_SITE": "patroni", "APP_DATABASES_FILE": str(databases_file),
        "APP_MEDIA_DIR": str(media), "APP_BUDGET_S": str(PATIENCE_S),
    }  # fmt: skip


def databases(password: str) -> str:
    """The one database the app knows: whatever is behind HAProxy. Times as in the spec of our own app."""
    options = (
        "connect_timeout=2&keepalives=1&keepalives_idle=2&keepalives_interval=1&keepalives_count=3"
        "&tcp_user_timeout=3000&gssencmode=disable&sslmode=disable"
    )
    return json.dumps({"patroni": f"postgresql://{APP_ROLE}:{password}@{FRONT}:{POOL_PORT}/{DATABASE}?{options}"})
