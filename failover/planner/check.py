"""Is the fleet well? What was seen -> findings, one status, and the figures a monitor keeps. Pure.

Rules: an observation that is old or missing is *unknown* and never green; what one look cannot tell is not called down;
CRITICAL outranks UNKNOWN outranks WARNING.
"""

from __future__ import annotations

from collections.abc import Iterator

from failover.model.finding import Finding, Severity
from failover.model.fleet import Fleet, Role
from failover.model.observation import AgentState, FleetSeen
from failover.model.record import Record
from failover.model.status import Figure, Level, NamesSeen, Status, StoreSeen, Verdict
from failover.model.units import site_of
from failover.planner.check_parts import names_findings, site_findings, stores_findings, version_findings
from failover.planner.promote import observers
from failover.planner.proven import restore_figures, restore_findings
from failover.planner.shipping import shipping_figures, shipping_findings, shipping_status
from failover.planner.status import record_status, site_status, unprotected_s
from failover.planner.switchover_steps import is_protected
from failover.planner.verdict import DOWN, UP, agreed_down

OLDEST_S = 10.0
"""A look older than this is shown with its age and counts as unknown."""


_RANK = {Level.OK: 0, Level.WARNING: 1, Level.UNKNOWN: 2, Level.CRITICAL: 3}


def judge(
    fleet: Fleet,
    seen: FleetSeen,
    *,
    specs: dict[str, str] | None = None,
    names: tuple[NamesSeen, ...] = (),
    stores: tuple[StoreSeen, ...] = (),
    proven_age_s: float | None = None,
    site: str = "",
) -> Verdict:
    """The fleet, or one ``site`` of it. ``specs``: wanted digests, ``names``: what DNS servers answered, ``stores``:
    which answered; all optional, because not every look asks for them. ``proven_age_s``: of the last proven restore."""
    found = tuple(_findings(fleet, seen, specs or {}, names))
    more = (
        *stores_findings(fleet, stores),
        *shipping_findings(fleet, seen),
        *restore_findings(fleet, proven_age_s),
    )
    found += tuple((_level(finding), finding) for finding in more)
    if site:
        found = tuple((level, finding) for level, finding in found if finding.site in ("", site))
    level = max((level for level, _ in found), key=_RANK.__getitem__, default=Level.OK)
    worst = [finding for own, finding in found if own is level]
    summary = worst[0].message if level is not Level.OK and worst else _well(seen, site)
    if len(worst) > 1 and level is not Level.OK:
        summary += f" (and {len(worst) - 1} more)"
    findings = tuple(finding for _, finding in sorted(found, key=lambda pair: -_RANK[pair[0]]))
    shown = tuple(one for one in fleet.sites if site in ("", one.name))
    view = Status(
        fleet=fleet.name,
        status=level.name,
        summary=summary,
        sites=tuple(site_status(fleet, seen, one) for one in shown),
        record=record_status(seen.record),
        record_error=seen.record_error,
        proven_restore_age_s=proven_age_s,
        findings=findings,
        unprotected_s=unprotected_s(seen),
        shipping=shipping_status(fleet, seen),
    )
    return Verdict(level=level, summary=summary, findings=findings, figures=_figures(fleet, view, seen), view=view)


def _well(seen: FleetSeen, site: str) -> str:
    record = seen.record
    if record is None:
        return "nothing is wrong"
    if site:
        return f"{site} is well, epoch {record.epoch}"
    return f"primary {record.primary_site}, sync {', '.join(record.sync) or 'nobody'}, epoch {record.epoch}"


def _findings(
    fleet: Fleet, seen: FleetSeen, specs: dict[str, str], names: tuple[NamesSeen, ...]
) -> Iterator[tuple[Level, Finding]]:
    yield from _split(seen)
    if seen.record is None:
        yield from _without_record(seen)
    else:
        yield from _primary(fleet, seen, seen.record)
        yield from _protection(seen, seen.record)
    for site in fleet.sites:
        look = next((one for one in seen.sites if one.site == site.name), None)
        if look is None or look.state is None:
            yield Level.WARNING, _said("agent-unreachable", f"the agent at {site.name} does not answer", site.name)
        elif look.seen_s_ago is None or look.seen_s_ago > OLDEST_S:
            what = f"{site.name} was last seen {look.seen_s_ago or 0:.0f} s ago"
            yield Level.UNKNOWN, _said("seen-long-ago", what, site.name)
        else:
            for finding in site_findings(fleet, site, look.state, specs.get(site.name, "")):
                yield _level(finding), finding
    for finding in (*version_findings(seen), *names_findings(fleet, seen, names)):
        yield _level(finding), finding


def _level(finding: Finding) -> Level:
    return {Severity.ERROR: Level.CRITICAL, Severity.WARNING: Level.WARNING, Severity.NOTE: Level.OK}[finding.severity]


def _said(code: str, message: str, site: str = "", *, hint: str = "failover status", bad: bool = False) -> Finding:
    severity = Severity.ERROR if bad else Severity.WARNING
    return Finding(code=code, severity=severity, message=message, hint=hint, site=site)


def _split(seen: FleetSeen) -> Iterator[tuple[Level, Finding]]:
    """Two sites that serve at once: the one thing that must never be."""
    serving = [one.site for one in seen.sites if one.state is not None and _writable(one.state)]
    if len(serving) > 1:
        what = f"{' and '.join(serving)} both run as primary"
        hint = "stop the one the record does not name; failover journal list shows what led here"
        yield Level.CRITICAL, _said("split", what, hint=hint, bad=True)


def _writable(state: AgentState) -> bool:
    return state.database.state == "primary" and state.serving


def _without_record(seen: FleetSeen) -> Iterator[tuple[Level, Finding]]:
    serving = [one.site for one in seen.sites if one.state is not None and _writable(one.state)]
    why = seen.record_error or "there is none"
    if serving:
        what = f"{serving[0]} serves, but the record cannot be read: {why}; nothing can move"
        hint = "bring a majority of the voters back"
        yield Level.WARNING, _said("record-unknown", what, hint=hint)
    elif any(one.state is not None for one in seen.sites):
        level = Level.CRITICAL if not seen.record_error else Level.UNKNOWN
        what = f"no site serves and the record cannot be read: {why}"
        yield level, _said("no-primary", what, hint="failover deploy", bad=level is Level.CRITICAL)
    else:
        what = f"nothing answers: {why}"
        hint = "is this machine cut off? look from another one; failover deploy starts a fleet that is off"
        yield Level.UNKNOWN, _said("nothing-answers", what, hint=hint)


def _primary(fleet: Fleet, seen: FleetSeen, record: Record) -> Iterator[tuple[Level, Finding]]:
    name = record.primary_site
    state = next((one.state for one in seen.sites if one.site == name), None)
    if state is None:
        yield _silent_primary(fleet, seen, name)
        return
    moving = record.move is not None
    if state.database.state != "primary" or state.database.member != record.primary:
        what = f"PostgreSQL at {name} is {state.database.state}, the record says it is the primary"
        yield (Level.WARNING if moving else Level.CRITICAL), _said("no-primary", what, name, bad=not moving)
    elif state.gate.state == "unknown":
        what = f"a gate at {name} does not answer"
        yield Level.UNKNOWN, _said("gate-unknown", what, name)
    elif state.gate.state != "open" or not state.serving:
        why = f"held by run {state.gate.hold_run}" if state.gate.hold_run else state.doing or "no reason given"
        level = Level.WARNING if moving or state.gate.hold_run else Level.CRITICAL
        yield level, _said("gate-closed", f"the gates at {name} are closed: {why}", name, bad=level is Level.CRITICAL)


def _silent_primary(fleet: Fleet, seen: FleetSeen, name: str) -> tuple[Level, Finding]:
    """Our own silence proves nothing: this machine may be the one that is cut off (facts: traffic 4.3)."""
    opinions = observers(fleet, seen, name)
    known = any(site.name == name for site in fleet.sites)
    provider = fleet.site(name).provider if known else ""
    if agreed_down(opinions, suspect_provider=provider):
        data = next((site.name for site in fleet.data_sites if site.name != name), "SITE")
        what = f"the primary {name} is gone: {' and '.join(one.observer for one in opinions)} agree"
        hint = f"failover promote {data} (promote: {fleet.promote})"
        if seen.record is not None and not seen.record.sync:
            hint = f"bring it back: it was alone; failover promote {data} --dry-run says what would be lost"
        return Level.CRITICAL, _said("primary-gone", what, name, hint=hint, bad=True)
    if any(opinion.verdict == UP for opinion in opinions):
        what = f"the primary {name} does not answer this machine, others reach it"
        return Level.WARNING, _said("primary-unreachable", what, name)
    downs = sum(opinion.verdict == DOWN for opinion in opinions)
    what = f"the primary {name} does not answer and {downs} of 2 observers find it gone"
    return Level.UNKNOWN, _said("primary-unknown", what, name)


def _protection(seen: FleetSeen, record: Record) -> Iterator[tuple[Level, Finding]]:
    if not record.sync:
        what = f"unprotected: writes are on {record.primary_site} only"
        kept = next((site_of(loss.source) for loss in record.accepted if not loss.released_by), "")
        waits = "failover status --watch; the standby rejoins by itself once its site lives"
        hint = f"failover rejoin {kept}, once its site lives" if kept else waits
        yield Level.WARNING, _said("unprotected", what, record.primary_site, hint=hint)
    elif not is_protected(seen, record) and any(one.site == record.primary_site and one.state for one in seen.sites):
        what = f"{', '.join(record.sync)} does not stream: commits wait for it"
        yield Level.WARNING, _said("not-streaming", what, record.primary_site)


def _figures(fleet: Fleet, view: Status, seen: FleetSeen) -> tuple[Figure, ...]:
    answering = sum(1 for one in seen.sites if one.state is not None)
    figures = [
        Figure(name="sites_answering", value=answering),
        Figure(name="epoch", value=view.record.epoch if view.record is not None else None),
        Figure(name="sync_members", value=len(view.record.sync) if view.record is not None else None),
    ]
    for site in view.sites:
        state = next((one.state for one in seen.sites if one.site == site.name), None)
        if site.role == Role.WITNESS.value:
            continue
        figures.append(Figure(name="lag_bytes", value=site.lag_bytes, unit="B", site=site.name))
        if site.role == "primary" and state is not None:
            figures.append(Figure(name="unprotected_s", value=state.unprotected_s, unit="s", site=site.name))
    return (*figures, *shipping_figures(view.shipping), *restore_figures(fleet, view.proven_restore_age_s))
