"""The app's names follow the record: at every DNS provider that lives, to every edge that lives. Pure.

For the time after a keeper has moved the primary by itself: hosts hold no DNS credentials (safety G4), so the
operator's side brings the names after it. What must never be here: moving anything but names.
"""

from __future__ import annotations

import msgspec

from failover.model.fleet import Fleet
from failover.model.observation import FleetSeen
from failover.model.plan import Plan, Refusal
from failover.planner import preflight
from failover.planner.dns_steps import dns_steps
from failover.planner.promote import observers
from failover.planner.verdict import DOWN


class NamesAsk(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing is asked: the record says who serves."""


def plan(fleet: Fleet, seen: FleetSeen, ask: NamesAsk) -> Plan | Refusal:
    """One step per DNS provider that is not gone. A provider that is gone is never called: its NS must go."""
    record = seen.record
    found = preflight.record_known(seen)
    if record is None or found:
        return Refusal(verb="names", summary="names are refused; nothing was changed", findings=found)
    gone = tuple(name for name in gone_sites(fleet, seen) if name != record.primary_site)
    return Plan(
        verb="names",
        summary=f"names lead to {record.primary_site}" + (f", without {', '.join(gone)}" if gone else ""),
        steps=dns_steps(fleet, record.primary_site, after=(), without=gone),
        hazards=tuple(
            f"{name}'s DNS server cannot be corrected: remove its NS of {fleet.dns.zone} at the registrar"
            for name in gone
            if fleet.site(name).dns
        ),
    )


def gone_sites(fleet: Fleet, seen: FleetSeen) -> tuple[str, ...]:
    """Sites that nothing of ours should call any more."""
    return tuple(site.site for site in seen.sites if _gone(fleet, seen, site.site))


def _gone(fleet: Fleet, seen: FleetSeen, name: str) -> bool:
    """It does not answer us and an observer at another provider finds it down. Unknown is not gone."""
    if preflight.answers(seen, name) is not None:
        return False
    provider = fleet.site(name).provider
    return any(one.verdict == DOWN and one.provider != provider for one in observers(fleet, seen, name))
