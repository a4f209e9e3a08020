"""Which addresses the app's names should have. Pure: the fleet, who is primary, who is not known dead -> names.

Only address records of our two names; NS and everything else of the zone belongs to the providers' stacks. What must
never be here: asking or changing a server; believing a probe (``unknown`` is not dead).
"""

from __future__ import annotations

from collections.abc import Mapping

from failover.model.fleet import Fleet, Role

EDGES, PRIMARY = "edges", "primary"


def public_name(fleet: Fleet) -> str:
    """The name users know, without trailing dot."""
    return fleet.dns.name


def primary_name(fleet: Fleet) -> str:
    """The name that leads to the primary's edge only."""
    return f"primary.{fleet.dns.name}"


def wanted_names(fleet: Fleet, primary_site: str, live: frozenset[str]) -> dict[str, tuple[str, ...]]:
    """Name -> addresses, as the zone should answer while ``primary_site`` serves and ``live`` are not known dead.

    Invariant: never empty, and the primary's edge is always in: a record without an address is an outage that outlives
    its cause by a TTL. Addresses are in the order of the fleet file. Raises ``KeyError`` for a site that is not in the
    fleet, ``ValueError`` for one that holds no data.
    """
    primary = fleet.site(primary_site)
    if primary.role is not Role.DATA:
        raise ValueError(f"{primary_site} holds no data: it cannot be the primary")
    if fleet.dns.answer == PRIMARY:
        return addresses_of_names(fleet, addresses=(primary.address,), primary=primary.address)
    edges = tuple(site.address for site in fleet.data_sites if site.name == primary_site or site.name in live)
    return addresses_of_names(fleet, addresses=edges, primary=primary.address)


def addresses_of_names(fleet: Fleet, *, addresses: tuple[str, ...], primary: str) -> dict[str, tuple[str, ...]]:
    """The two names with these addresses, as ``ApplyDns`` carries them and ``ports.dns.NameSet`` takes them.

    Raises ``ValueError`` when ``addresses`` is empty or lacks ``primary``.
    """
    if primary not in addresses:
        raise ValueError(f"{primary} serves and is not among {', '.join(addresses) or 'no addresses'}")
    return {public_name(fleet): addresses, primary_name(fleet): (primary,)}


def not_known_dead(verdicts: Mapping[str, str]) -> frozenset[str]:
    """Sites to keep in the answer, from site -> "up" | "down" | "unknown". A client tries the next address of a set by
    itself within a second; a live site taken out by mistake is gone for everybody for a TTL."""
    return frozenset(site for site, verdict in verdicts.items() if verdict != "down")
