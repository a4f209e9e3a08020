"""The authoritative server a site's provider runs for us, as a service: PowerDNS over the zone's SQLite file. Pure.

The zone itself is made by the provider's stack; without it the server does not start and the service shows as failed.
What must never be here: records of the zone.
"""

from __future__ import annotations

from failover.errors import ConfigError
from failover.model.fleet import ISOLATED, Fleet, Site
from failover.model.secret import FleetSecrets
from failover.model.spec import File, Ready, ServiceSpec
from failover.planner.hostspec_net import LOCAL, listen_address

CONFIG_FOLDER = "dns"
ZONE_FILE = "dns/zone.sqlite3"


def dns_service(fleet: Fleet, site: Site, secrets: FleetSecrets) -> ServiceSpec:
    """PowerDNS at ``site``. Ready when its API port accepts, which is after its DNS port does."""
    key = secrets.dns_api_keys.get(site.name)
    if key is None:
        raise ConfigError(f"no DNS API key for {site.name}", hint="failover init makes the keys of all DNS sites")
    config = File(path=f"{CONFIG_FOLDER}/pdns.conf", text=_config(fleet, site, key.reveal()), mode=0o600)
    return ServiceSpec(
        name="dns",
        command=("pdns_server", "--config-dir={host}/" + CONFIG_FOLDER),
        files=(config,),
        ready=Ready(address=site.address, port=site.ports.dns_api),
    )


def _config(fleet: Fleet, site: Site, api_key: str) -> str:
    # One machine is one /8 of loopback; elsewhere only the fleet's own hosts. The operator's side reaches a cloud
    # provider's API at the provider, never here.
    here = ["127.0.0.0/8", str(ISOLATED)]
    allowed = here if site.kind == LOCAL else ["127.0.0.1", *(other.address for other in fleet.sites)]
    settings = {
        "launch": "gsqlite3",
        "gsqlite3-database": "{host}/" + ZONE_FILE,
        "gsqlite3-dnssec": "no",
        "gsqlite3-pragma-synchronous": "1",
        "local-address": listen_address(site),
        "local-port": str(site.ports.dns),
        "socket-dir": "{host}/run",
        "daemon": "no",
        "guardian": "no",
        "write-pid": "no",
        "disable-syslog": "yes",
        "loglevel": "4",
        "version-string": "anonymous",
        # It would ask a host of the vendor's each hour: no packet of ours leaves for a place nobody declared.
        "security-poll-suffix": "",
        # An answer is as old as the database file, never older: a record moved is served at once.
        "cache-ttl": "0",
        "query-cache-ttl": "0",
        "negquery-cache-ttl": "0",
        "zone-cache-refresh-interval": "0",
        "zone-metadata-cache-ttl": "0",
        "receiver-threads": "1",
        "distributor-threads": "1",
        "retrieval-threads": "1",
        "signing-threads": "1",
        "max-tcp-connections": "50",
        "max-tcp-connection-duration": "10",
        "api": "yes",
        "api-key": api_key,
        "webserver": "yes",
        "webserver-address": listen_address(site),
        "webserver-port": str(site.ports.dns_api),
        "webserver-allow-from": ",".join(allowed),
        "webserver-loglevel": "none",
    }
    return "".join(f"{name}={value}\n" for name, value in settings.items())
