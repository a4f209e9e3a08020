"""Port: one DNS provider's copy of our zone. One provider per call: a plan over several changes nothing anywhere
when one of them is dead, which is exactly our incident (facts: traffic 1.1)."""

from __future__ import annotations

from typing import Protocol

import msgspec


class NameSet(msgspec.Struct, frozen=True, kw_only=True):
    """Address records wanted in the zone: fully qualified name without trailing dot -> IPv4 addresses."""

    zone: str
    ttl_s: int
    addresses: dict[str, tuple[str, ...]]


class DnsChange(msgspec.Struct, frozen=True, kw_only=True):
    """One record set that differs at the provider."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]


class DnsProvider(Protocol):
    """``site`` names the provider's server in the fleet. Raises ``Unreachable`` (or ``OutcomeUnknown`` after a
    change was sent) within ``deadline_s``, also when the provider accepts and never answers."""

    def plan(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        """What would change. Repeatable, changes nothing."""
        ...

    def apply(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        """Make it so; the empty tuple when nothing had to change. Repeatable. Other names are left alone."""
        ...

    def served(self, site: str, names: tuple[str, ...], *, deadline_s: float) -> dict[str, tuple[str, ...]]:
        """What the provider's authoritative server answers now, asked directly, never through a resolver."""
        ...
