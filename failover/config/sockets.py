"""Judges who listens where: every address and port of the fleet is used once, also by the app's processes.

What must never be here: opening a socket to look. What the machine really has free is the preflight's question.
"""

from __future__ import annotations

import ipaddress

from failover.config.problems import Path, Problems
from failover.config.sites import PORT_NAMES
from failover.model.fleet import ISOLATED, Role, Service, Site


def check_sockets(sites: tuple[Site, ...], services: tuple[Service, ...], problems: Problems) -> None:
    """No address twice, no port twice at one address; local sites on loopback."""
    if not problems.sound("sites"):
        return
    _check_addresses(sites, problems)
    for site in sites:
        _check_ports(site, problems)
    _check_services(sites, services, problems)


def _check_addresses(sites: tuple[Site, ...], problems: Problems) -> None:
    first: dict[str, Site] = {}
    for site in sites:
        path = ("sites", site.name, "address")
        if not problems.sound(*path):
            continue
        if site.address in first:
            other = first[site.address]
            line = problems.value_place(("sites", other.name, "address")).line
            message = f"{site.address} is the address of {other.name} already (line {line})"
            problems.error("address-taken", path, message, "give each site an address of its own")
            continue
        first[site.address] = site
        sound = problems.sound("sites", site.name, "kind")
        if site.kind == "local" and sound and not _of_this_machine(ipaddress.IPv4Address(site.address)):
            message = f"{site.address} is not a loopback address, and a local site runs on this machine"
            problems.warning("not-loopback", path, message, "write an address that begins with 127.")


def _of_this_machine(address: ipaddress.IPv4Address) -> bool:
    """Loopback, or the range in which a local site has a network namespace of its own."""
    return address.is_loopback or address in ISOLATED


def _check_ports(site: Site, problems: Problems) -> None:
    """The ports of one site differ from each other. The later one in the file is the one to change."""
    first: dict[int, str] = {}
    for name in sorted(PORT_NAMES, key=lambda name: _order(site, name, problems)):
        path = ("sites", site.name, "ports", name)
        number = getattr(site.ports, name)
        if not problems.sound(*path):
            continue
        if number in first:
            message = f"{number} is already the port of {first[number]} at {site.address or site.name}"
            problems.error("port-taken", path, message, "write a port nothing else has at this site")
            continue
        first[number] = name


def _order(site: Site, name: str, problems: Problems) -> tuple[bool, int]:
    """Defaults first, then the written ones in the order of the file."""
    path = ("sites", site.name, "ports", name)
    return problems.written(*path), problems.value_place(path).line


def _check_services(sites: tuple[Site, ...], services: tuple[Service, ...], problems: Problems) -> None:
    """Every data site runs every service, so a service's port must be free at each of them."""
    first: dict[int, str] = {}
    for service in services:
        path = ("app", "services", service.name, "port")
        if not service.port or not problems.sound(*path):
            continue
        if service.port in first:
            message = f"{service.port} is already the port of {first[service.port]}"
            problems.error("port-taken", path, message, "give each process a port of its own")
            continue
        first[service.port] = service.name
        _check_reserved(sites, service.port, path, problems)


def _check_reserved(sites: tuple[Site, ...], number: int, path: Path, problems: Problems) -> None:
    clashes = [
        f"sites.{site.name}.ports.{name}"
        for site in sites
        if site.role is Role.DATA
        for name in PORT_NAMES
        if getattr(site.ports, name) == number and problems.sound("sites", site.name, "ports", name)
    ]
    if clashes:
        message = f"{number} is taken by {' and '.join(clashes)}"
        problems.error("port-taken", path, message, "write another port, as 9001")
