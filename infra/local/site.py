"""One whole site at the local provider. The other providers have the same component under the same name."""

from __future__ import annotations

import pulumi

from infra.local.bucket import Bucket
from infra.local.dns import Zone
from infra.local.hosts import Host
from infra.parts import SiteParts


class LocalSite(pulumi.ComponentResource):
    """Host, Zone where this provider serves DNS, Bucket where the site has a store. ``outputs`` holds the fields of
    ``SiteOutputs``."""

    def __init__(self, name: str, parts: SiteParts, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("failover:local:Site", name, None, opts)
        below = pulumi.ResourceOptions(parent=self)
        host = Host(name, parts, below)
        if parts.zone is not None:
            Zone(f"{name}-zone", parts, parts.zone, pulumi.ResourceOptions(parent=self, depends_on=[host]))
        if parts.bucket is not None:
            Bucket(f"{name}-bucket", parts, parts.bucket, pulumi.ResourceOptions(parent=self, depends_on=[host]))
        self.outputs: dict[str, pulumi.Input[object]] = {
            "site": parts.bootstrap.site,
            "provider": parts.bootstrap.provider,
            "address": parts.bootstrap.address,
            "agent_port": parts.bootstrap.agent_port,
            "host_id": host.id,
            "zone_servers": [parts.zone.server] if parts.zone is not None else [],
        }
        self.register_outputs(self.outputs)
