"""What was seen -> ``failover/status/v1``, the view that people and programs read. Pure.

``None`` and "unknown" mean not known; nothing here fills a gap with something good.
"""

from __future__ import annotations

from failover.model.fleet import Fleet, Role, Site
from failover.model.observation import AgentState, FleetSeen, SiteSeen
from failover.model.record import Record
from failover.model.status import RecordStatus, SiteStatus
from failover.model.units import site_of
from failover.planner.exposure import exposure


def site_status(fleet: Fleet, seen: FleetSeen, site: Site) -> SiteStatus:
    """One line of the table."""
    look = next((one for one in seen.sites if one.site == site.name), None)
    if look is None or look.state is None:
        return _unseen(site, look)
    state, record = look.state, seen.record
    lag = lag_bytes(seen, site.name)
    return SiteStatus(
        name=site.name,
        provider=site.provider,
        role=_role(site, record),
        state=_state(site, state, record),
        lag_bytes=lag,
        exposure_s=_exposure_s(state, seen),
        gate=state.gate.state if site.role is Role.DATA else "none",
        seen_s_ago=look.seen_s_ago,
        record_s_ago=state.record_s_ago,
        serving=state.serving if site.role is Role.DATA else None,
        member=state.database.member,
        doing=state.doing,
        version=state.version,
    )


def record_status(record: Record | None) -> RecordStatus | None:
    """What of the record is shown."""
    if record is None:
        return None
    move = record.move
    shown = "" if move is None else f"{move.kind} {site_of(move.source)} -> {site_of(move.target)} by {move.run}"
    return RecordStatus(epoch=record.epoch, primary=record.primary, sync=tuple(record.sync), move=shown)


def unprotected_s(seen: FleetSeen) -> float | None:
    """What the record's primary counted."""
    look = next((one for one in seen.sites if seen.record and one.site == seen.record.primary_site), None)
    return None if look is None or look.state is None else look.state.unprotected_s


def _unseen(site: Site, look: SiteSeen | None) -> SiteStatus:
    return SiteStatus(
        name=site.name,
        provider=site.provider,
        role="witness" if site.role is Role.WITNESS else "unknown",
        state="unknown",
        lag_bytes=None,
        exposure_s=None,
        gate="unknown",
        seen_s_ago=None if look is None else look.seen_s_ago,
        error="not looked at" if look is None else look.error,
    )


def _role(site: Site, record: Record | None) -> str:
    if site.role is Role.WITNESS:
        return "witness"
    if record is None:
        return "unknown"
    return "primary" if record.primary_site == site.name else "standby"


def _state(site: Site, state: AgentState, record: Record | None) -> str:
    if site.role is Role.WITNESS:
        return "watching"
    database = state.database
    if record is not None and database.state == "stopped" and record.quarantine(database.member) is not None:
        return "quarantined"
    if database.state == "standby":
        return "streaming" if database.streaming else "not streaming"
    return database.state


def lag_bytes(seen: FleetSeen, name: str) -> int | None:
    """Bytes the primary has written and this standby has not flushed, as the primary sees it."""
    if seen.record is None or seen.record.primary_site == name:
        return None
    primary = next((one.state for one in seen.sites if one.site == seen.record.primary_site), None)
    if primary is None:
        return None
    for row in primary.database.replicas:
        if row.application_name.rpartition("_")[0] == name:
            return max(0, primary.database.position - row.flush_lsn)
    return None


def _exposure_s(state: AgentState, seen: FleetSeen) -> float | None:
    """0 for a sync member: it holds every acknowledged write. A copy the record does not name lacks what the primary
    acknowledged alone, as long as that lasts; ``None``: not known."""
    record, member = seen.record, state.database.member
    if record is None or not member:
        return None
    listed = (record.primary, *record.sync)
    if any(site_of(one) == state.site for one in listed):
        return 0.0 if member in listed else None
    return exposure(record, seen, state.site).seconds_s
