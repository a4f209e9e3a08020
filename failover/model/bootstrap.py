"""What Pulumi hands a new host, once, and never changes (safety F1): enough to start the agent and be enrolled.

The living ``HostSpec`` is not here on purpose: changing user data restarts or recreates a VM, and the provider can
read it.
"""

from __future__ import annotations

import msgspec


class Bootstrap(msgspec.Struct, frozen=True, kw_only=True):
    """Immutable first data of one host. ``token`` is one-time: it proves host and operator to each other while the
    host's own key is signed, and is worth nothing afterwards. ``host_dir`` is absolute."""

    fleet: str
    site: str
    provider: str
    address: str
    agent_port: int
    host_dir: str
    agent_version: str
    agent_digest: str
    fleet_ca_pem: str
    token: str

    def __repr__(self) -> str:
        return f"Bootstrap(fleet={self.fleet!r}, site={self.site!r}, address={self.address!r}, token=**redacted**)"
