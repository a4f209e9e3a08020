"""The app's zone at the local provider: the database that this site's PowerDNS serves."""

from __future__ import annotations

import pulumi

from infra.names import ZONE_TYPE
from infra.parts import SiteParts, ZoneParts


class Zone(pulumi.CustomResource):
    """The zone with SOA and NS. Its records belong to the move, never to the stack. It lives on the host's disk: what
    makes a new host (address, port, folder) makes a new zone, and a repaired host keeps it."""

    def __init__(
        self,
        name: str,
        parts: SiteParts,
        zone: ZoneParts,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        first = parts.bootstrap
        inputs = {
            "zone": zone.name,
            "site": first.site,
            "address": first.address,
            "hostDir": first.host_dir,
            "agentPort": first.agent_port,
        }
        once = pulumi.ResourceOptions(delete_before_replace=True)
        super().__init__(ZONE_TYPE, name, inputs, pulumi.ResourceOptions.merge(opts, once))
