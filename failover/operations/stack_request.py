"""What one site's stack is given. The bootstrap is the same text each time, or a host is made anew (safety F1)."""

from __future__ import annotations

from failover.operations.wired import Wired
from failover.ports.provisioner import SiteRequest


def site_request(wired: Wired, name: str) -> SiteRequest:
    """The request for ``name``. Raises ``UsageError`` when the fleet's secrets are missing."""
    site = wired.fleet.site(name)
    return SiteRequest(
        site=site,
        bootstrap=wired.bootstrap(name),
        zone=wired.fleet.dns.zone,
        dns_api_key=wired.secrets.dns_api_keys.get(name) if site.dns else None,
    )
