"""The two worlds the DNS contract runs in: servers in memory, and real PowerDNS servers under octoDNS."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from failover.adapters.dns_octodns import OctoDns, dns_servers
from failover.model.secret import Secret
from failover.planner.hostspec import host_spec
from failover.ports.dns import DnsProvider
from infra.local.plugin import zone
from tests.fakes.dns import MemoryDns, MemoryServer
from tests.integration.edge.fleets import ZONE, secrets, three_sites
from tests.integration.edge.hosts import RunningHost


class World(Protocol):
    """A provider per data site, and the ways it goes bad."""

    dns: DnsProvider

    def freeze(self, site: str) -> None: ...
    def thaw(self, site: str) -> None: ...
    def kill(self, site: str) -> None: ...
    def wrong_key(self, site: str) -> None: ...
    def drop_zone(self, site: str) -> None: ...


class MemoryWorld:
    """``MemoryDns``."""

    def __init__(self) -> None:
        self.servers = {site: MemoryServer(zones={ZONE}) for site in ("alpha", "beta")}
        self.dns: DnsProvider = MemoryDns(self.servers)

    def freeze(self, site: str) -> None:
        self.servers[site].trouble = "silent"

    def thaw(self, site: str) -> None:
        self.servers[site].trouble = ""

    def kill(self, site: str) -> None:
        self.servers[site].trouble = "refused"

    def wrong_key(self, site: str) -> None:
        self.servers[site].trouble = "denied"

    def drop_zone(self, site: str) -> None:
        self.servers[site].zones.clear()


class PowerDnsWorld:
    """Real servers, started from the services of real HostSpecs."""

    def __init__(self, hosts: dict[str, RunningHost], block: str) -> None:
        self.hosts = hosts
        self._servers = dns_servers(three_sites(block), secrets())
        self.dns: DnsProvider = OctoDns(self._servers)

    def freeze(self, site: str) -> None:
        self.hosts[site].signal("dns", signal.SIGSTOP)

    def thaw(self, site: str) -> None:
        self.hosts[site].signal("dns", signal.SIGCONT)

    def kill(self, site: str) -> None:
        self.hosts[site].kill("dns")

    def wrong_key(self, site: str) -> None:
        wrong = msgspec.structs.replace(self._servers[site], api_key=Secret("not-the-key"))
        self.dns = OctoDns({**self._servers, site: wrong})

    def drop_zone(self, site: str) -> None:
        zone.remove(self.hosts[site].folder, ZONE)

    def add(self, site: str, name: str, kind: str, content: str) -> None:
        """A record that is not ours."""
        with closing(sqlite3.connect(zone.database(self.hosts[site].folder), timeout=5)) as connection, connection:
            row = connection.execute("SELECT id FROM domains WHERE name = ?", (ZONE,)).fetchone()
            connection.execute(
                "INSERT INTO records (domain_id, name, type, content, ttl) VALUES (?, ?, ?, ?, 300)",
                (row[0], name, kind, content),
            )

    def records(self, site: str) -> set[tuple[str, str, str]]:
        """Everything in the zone but the SOA, whose serial moves."""
        with closing(sqlite3.connect(zone.database(self.hosts[site].folder), timeout=5)) as connection:
            rows = connection.execute("SELECT name, type, content FROM records WHERE type <> 'SOA'")
            return {(str(name), str(kind), str(content)) for name, kind, content in rows}

    def serial(self, site: str) -> int:
        with closing(sqlite3.connect(zone.database(self.hosts[site].folder), timeout=5)) as connection:
            row = connection.execute("SELECT content FROM records WHERE type = 'SOA'").fetchone()
            return int(row[0].split()[2])


@contextmanager
def power_dns(folder: Path, block: str) -> Iterator[PowerDnsWorld]:
    """Both data sites' servers, zone made, nothing of ours in it."""
    fleet = three_sites(block)
    with ExitStack() as stack:
        hosts = {}
        for site in fleet.dns_sites:
            host = stack.enter_context(RunningHost(folder / site.name, host_spec(fleet, site, secrets(), serial=1)))
            zone.create(host.folder, zone=ZONE, site=site.name, address=site.address)
            host.start("dns")
            hosts[site.name] = host
        yield PowerDnsWorld(hosts, block)
