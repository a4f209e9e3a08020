"""What a site's stack tells the rest once it is up."""

from __future__ import annotations

import msgspec


class SiteOutputs(msgspec.Struct, frozen=True, kw_only=True):
    """Exports of one stack. ``host_id`` is the provider's name for the machine; a new one means a new host.
    ``zone_servers`` are ``address:port`` of the authoritative servers this provider runs for us (may be empty)."""

    site: str
    provider: str
    address: str
    agent_port: int
    host_id: str
    zone_servers: tuple[str, ...] = ()
