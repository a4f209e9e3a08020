"""The parts of ``check`` that look at one thing each: a site's services, spec, keeper; a DNS server's answer. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from failover.model.finding import Finding
from failover.model.fleet import Fleet, Site
from failover.model.observation import AgentState, FleetSeen
from failover.model.snapshot import QUORUM
from failover.model.status import NamesSeen, StoreSeen
from failover.model.version import VERSION
from failover.planner.dns import wanted_names
from failover.planner.preflight import error, warning


def site_findings(fleet: Fleet, site: Site, state: AgentState, digest: str) -> Iterator[Finding]:
    """Remarks about one site whose agent answered. ``digest`` "" : the wanted spec is not known here."""
    name = site.name
    for service in state.services:
        if service.state == "failed":
            what = f"service {service.name} at {name} has failed ({service.starts} starts)"
            yield warning("service-failed", what, "its log is in the site's log folder", site=name)
    if state.record_s_ago is None:
        yield warning("keeper-blind", f"the keeper at {name} has never read the record", "failover status", site=name)
    elif state.record_s_ago > fleet.timing.fresh_s:
        what = f"the keeper at {name} read the record {state.record_s_ago:.1f} s ago"
        yield warning("keeper-stale", what, "a voter near it does not answer", site=name)
    if digest and state.spec_digest != digest:
        what = f"{name} runs another spec than the fleet file declares"
        yield warning("spec-drift", what, f"failover deploy {name}", site=name)
    if state.record is not None and state.record.quarantine(state.database.member) is not None:
        yield _quarantined(state)
    for trouble in state.trouble:
        yield warning("keeper-trouble", f"{name}: {trouble}", "failover status", site=name)


def _quarantined(state: AgentState) -> Finding:
    """Acknowledged writes that nobody else has are not thrown away by a program."""
    held = "it is saving what only it has"
    if state.kept is not None:
        held = f"{state.kept.commits} commits that nobody else has are kept as {state.kept.id}"
    what = f"the copy at {state.site} is quarantined: {held}"
    return warning("quarantined", what, f"failover rejoin {state.site}", site=state.site)


def version_findings(seen: FleetSeen) -> Iterator[Finding]:
    """Two versions side by side work (each tolerates what it does not know), but not for ever."""
    running = {one.site: one.state.version for one in seen.sites if one.state is not None}
    other = {site: version for site, version in running.items() if version != VERSION}
    if other:
        told = ", ".join(f"{site} {version}" for site, version in other.items())
        what = f"agents run another version than this command ({VERSION}): {told}"
        yield warning("versions-differ", what, "install one version everywhere; an agent's restart bounces nothing")


def stores_findings(fleet: Fleet, stores: tuple[StoreSeen, ...]) -> Iterator[Finding]:
    """A store that is silent takes nothing more in; with it goes what the fleet can lose."""
    silent = {one.store: one.error for one in stores if one.error}
    living = {place.provider for place in fleet.stores if place.name not in silent}
    for place in fleet.stores:
        if place.name not in silent:
            continue
        what = f"store {place.name} at provider {place.provider} does not answer: {silent[place.name]}"
        if len(living) < QUORUM:
            what += f"; {len(living)} of {QUORUM} providers take snapshots in"
        hint = f"failover deploy {place.site}" if place.site else f"ask {place.provider}; failover status"
        yield warning("store-silent", what, hint, site=place.site)


def names_findings(fleet: Fleet, seen: FleetSeen, names: tuple[NamesSeen, ...]) -> Iterator[Finding]:
    """A server that answers something else than it should is worse than one that is silent (facts: traffic 0.3)."""
    if seen.record is None:
        return
    record = seen.record
    if record.primary_site not in {site.name for site in fleet.data_sites}:
        return
    silent = frozenset(one.site for one in seen.sites if one.state is None)
    everything = frozenset(site.name for site in fleet.sites)
    best = wanted_names(fleet, record.primary_site, everything - silent)
    most = wanted_names(fleet, record.primary_site, everything)
    for name in names:
        if name.answers is None:
            yield warning("dns-silent", f"the DNS server at {name.site} does not answer: {name.error}", site=name.site)
            continue
        for host, served in name.answers.items():
            wanted = (set(best.get(host, ())), set(most.get(host, ())))
            if set(served) in wanted:
                continue
            what = f"the DNS server at {name.site} answers {', '.join(served) or 'nothing'} for {host}"
            hint = f"failover deploy; it should be {', '.join(best.get(host, ()))}"
            gone = not set(served) & wanted[1]
            yield (error if gone else warning)("dns-stale", what, hint, site=name.site)
