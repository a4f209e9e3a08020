"""What the WAL shipper says -> what ``status`` and ``check`` show of it. Pure. Only for fleets that have stores."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from failover.model.finding import Finding
from failover.model.fleet import Fleet
from failover.model.observation import AgentState, FleetSeen, ShippingFacts
from failover.model.status import Figure, ShippingStatus
from failover.model.units import format_duration, format_lsn
from failover.planner.preflight import answers, error, warning
from failover.planner.wal import SHIP

WARN_S = 10.0
"""WAL that is not with two providers after so long: ten times what a chunk takes."""
ALARM_S = 300.0
_SNAPSHOT = "failover snapshot create"


def ships(fleet: Fleet) -> bool:
    """This fleet has its WAL shipped."""
    return bool(fleet.stores) and fleet.snapshots is not None


def shipping_status(fleet: Fleet, seen: FleetSeen) -> ShippingStatus | UnsetType:
    """Exposure as the primary's agent tells it; every figure ``None`` while that does not answer."""
    if not ships(fleet):
        return UNSET
    state = _primary(seen)
    said = state.shipping if state is not None else None
    if state is None or said is None:
        return ShippingStatus(site="" if state is None else state.site, error=_silence(state))
    shipping = said.duty == SHIP
    return ShippingStatus(
        site=state.site,
        acknowledged_lsn=format_lsn(said.acknowledged_lsn) if said.acknowledged_lsn else None,
        exposure_bytes=said.exposure_bytes if shipping else None,
        exposure_s=said.exposure_s if shipping else None,
        timeline=said.timeline,
        slot=said.slot,
        behind=said.behind,
        error=said.error or ("" if shipping else "not shipping now"),
        snapshot_wanted=said.snapshot_wanted,
    )


def shipping_findings(fleet: Fleet, seen: FleetSeen) -> Iterator[Finding]:
    """An agent that does not answer is remarked upon elsewhere."""
    state = _primary(seen)
    if not ships(fleet) or state is None or state.database.state != "primary":
        return
    site, said = state.site, state.shipping
    if said is None:
        yield warning("shipping-unknown", f"{site}: {_silence(state)}", f"failover deploy {site}", site=site)
        return
    if said.snapshot_wanted:
        what = f"{said.snapshot_wanted}: nothing after it can be restored before there is a new snapshot"
        yield error("snapshot-wanted", what, _SNAPSHOT, site=site)
    moving = seen.record is not None and seen.record.move is not None
    if said.duty != SHIP:
        if not moving and state.serving:
            yield warning("not-shipping", f"{site} serves and ships no WAL", "failover status", site=site)
        return
    yield from _exposed(site, said)
    for one in said.behind:
        yield warning("store-behind", f"store {one.store} lacks shipped WAL: {one.why}", "failover check", site=site)


def _exposed(site: str, said: ShippingFacts) -> Iterator[Finding]:
    age_s = said.exposure_s
    if age_s is not None and age_s > WARN_S:
        size = "" if said.exposure_bytes is None else f"{said.exposure_bytes} B, "
        what = f"WAL of {site} is not with two providers: {size}the oldest {format_duration(age_s)} old"
        what += f"; {said.error}" if said.error else ""
        finding = error if age_s > ALARM_S else warning
        yield finding("wal-exposed", what, "failover check shows which store does not answer", site=site)
    elif said.error:
        yield warning("shipping-trouble", f"WAL of {site}: {said.error}", "failover status", site=site)


def shipping_figures(shown: ShippingStatus | UnsetType) -> tuple[Figure, ...]:
    """For graphs."""
    if isinstance(shown, UnsetType):
        return ()
    return (
        Figure(name="wal_exposure_bytes", value=shown.exposure_bytes, unit="B", site=shown.site),
        Figure(name="wal_exposure_s", value=shown.exposure_s, unit="s", site=shown.site),
    )


def _primary(seen: FleetSeen) -> AgentState | None:
    return None if seen.record is None else answers(seen, seen.record.primary_site)


def _silence(state: AgentState | None) -> str:
    return "the primary does not answer" if state is None else "its agent has no WAL shipper that speaks"
