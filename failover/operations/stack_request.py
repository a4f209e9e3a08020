"""What one site's stack is given. The bootstrap is the same text each time, or a host is made anew (safety F1)."""

from __future__ import annotations

from failover.operations.wired import Wired
from failover.ports.provisioner import SiteRequest


def site_request(wired: Wired, name: str, *, before_store: bool = False) -> SiteRequest:
    """The request for ``name``. Raises ``UsageError`` when the fleet's secrets are missing."""
    site, store = wired.fleet.site(name), wired.fleet.store_at(name)
    return SiteRequest(
        site=site,
        bootstrap=wired.bootstrap(name),
        zone=wired.fleet.dns.zone,
        dns_api_key=wired.secrets.dns_api_keys.get(name) if site.dns else None,
        store=store,
        store_key=wired.secrets.store_keys.get(store.name) if store is not None else None,
        before_store=before_store,
    )
