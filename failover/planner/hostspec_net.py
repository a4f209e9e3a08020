"""What of a site's network the services' specs share: where to listen, and whether all of it is one machine. Pure."""

from __future__ import annotations

from failover.model.fleet import Fleet, Site

LOCAL = "local"


def all_local(fleet: Fleet) -> bool:
    """True when every site is a process tree on this machine, so round trips are near zero."""
    return all(site.kind == LOCAL for site in fleet.sites)


def listen_address(site: Site) -> str:
    """Where a service binds. In a cloud the public address is often not on the machine (one-to-one NAT)."""
    return site.address if site.kind == LOCAL else "0.0.0.0"
