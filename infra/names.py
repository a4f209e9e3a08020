"""Names and addresses of what is deployed: pure, deterministic. A name that can be computed again is how an orphan of
a killed run is found (a plug-in killed in the middle of a create leaves no record of it anywhere)."""

from __future__ import annotations

import hashlib
import json

HOST_TYPE = "local:index:Host"
ZONE_TYPE = "local:index:Zone"
BUCKET_TYPE = "local:index:Bucket"

# What makes a host *this* host. A change of any of them means another host; the agent's version is not among them.
HOST_IDENTITY = ("fleet", "site", "provider", "address", "agent_port", "host_dir", "fleet_ca_pem", "token")


def host_id(bootstrap: dict[str, object]) -> str:
    """``<fleet>-<site>-<8 hex>``; the same for the same bootstrap, another for another token or address."""
    identity = json.dumps([bootstrap[key] for key in HOST_IDENTITY]).encode()
    return f"{bootstrap['fleet']}-{bootstrap['site']}-{hashlib.sha256(identity).hexdigest()[:8]}"


def zone_name(zone: str) -> str:
    """The zone as DNS servers store it: lower case, no dot at the end."""
    return zone.rstrip(".").lower()


def name_server(site: str, zone: str) -> str:
    """Host name of one site's authoritative server inside its own zone."""
    return f"ns-{site}.{zone_name(zone)}"
