"""A DNS provider in memory: for tests above the port. The contract suite runs on it too."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from failover.errors import Damaged, Denied, OutcomeUnknown, Unreachable
from failover.ports.dns import DnsChange, NameSet


@dataclass
class MemoryServer:
    """One provider's copy. ``trouble``: "" | "silent" | "refused" | "denied" | "silent-after-sent" (the change is made,
    the answer never comes). ``calls`` counts every request, also the failed ones."""

    zones: set[str] = field(default_factory=set)
    addresses: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ttls: dict[str, int] = field(default_factory=dict)
    trouble: str = ""
    calls: int = 0


class MemoryDns:
    """``DnsProvider`` over servers by site. Takes no time: a silent server answers with its error at once."""

    def __init__(self, servers: dict[str, MemoryServer]) -> None:
        self.servers = servers
        self._lock = threading.Lock()

    def plan(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        with self._lock:
            return self._changes(self._asked(site), site, wanted)

    def apply(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        with self._lock:
            server = self._asked(site)
            changes = self._changes(server, site, wanted)
            for change in changes:
                server.addresses[change.name] = change.after
                server.ttls[change.name] = wanted.ttl_s
            if changes and server.trouble == "silent-after-sent":
                raise OutcomeUnknown("the DNS provider did not answer", where=site)
            return changes

    def served(self, site: str, names: tuple[str, ...], *, deadline_s: float) -> dict[str, tuple[str, ...]]:
        with self._lock:
            server = self.servers[site]
            server.calls += 1
            if server.trouble in ("silent", "refused"):
                raise Unreachable("the DNS server did not answer", where=site)
            outside = [name for name in names if not any(f".{name}".endswith(f".{zone}") for zone in server.zones)]
            if outside:
                raise Unreachable("the DNS server does not answer for the zone", where=site)
            return {name: tuple(sorted(server.addresses.get(name, ()))) for name in names}

    def _asked(self, site: str) -> MemoryServer:
        server = self.servers[site]
        server.calls += 1
        if server.trouble in ("silent", "refused"):
            raise Unreachable("the DNS provider did not answer", where=site)
        if server.trouble == "denied":
            raise Denied("the DNS provider refused our key", where=site)
        return server

    def _changes(self, server: MemoryServer, site: str, wanted: NameSet) -> tuple[DnsChange, ...]:
        if any(not addresses for addresses in wanted.addresses.values()):
            raise ValueError("a name is never emptied")
        if wanted.zone not in server.zones:
            raise Damaged("the DNS provider does not have our zone", where=site)
        changes = []
        for name, addresses in sorted(wanted.addresses.items()):
            before, after = tuple(sorted(server.addresses.get(name, ()))), tuple(sorted(addresses))
            if before != after or server.ttls.get(name) != wanted.ttl_s:
                changes.append(DnsChange(name=name, before=before, after=after))
        return tuple(changes)
