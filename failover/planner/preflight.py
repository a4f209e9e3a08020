"""Questions asked of what was seen before anything moves; each answers with findings, none when all is well. Pure.

Unknown is never good: an agent that did not answer, a record that could not be read and an age past its limit refuse.
"""

from __future__ import annotations

from collections.abc import Iterable

from failover.model.finding import Finding, Severity
from failover.model.fleet import AppClass, Fleet
from failover.model.observation import AgentState, FleetSeen, Replica
from failover.model.record import Record
from failover.model.units import site_of

MOST_LAG_BYTES = 16 * 1024**2
"""More WAL than this on its way would make the pause longer than the hold lasts."""
MOST_REPLAY_LAG_BYTES = 64 * 1024**2
"""Promotion replays what was received first (safety D2); this much takes about a second."""


def error(code: str, message: str, hint: str = "", *, site: str = "") -> Finding:
    """A finding that refuses."""
    return Finding(code=code, severity=Severity.ERROR, message=message, hint=hint, site=site)


def warning(code: str, message: str, hint: str = "", *, site: str = "") -> Finding:
    """A finding that is shown and counted."""
    return Finding(code=code, severity=Severity.WARNING, message=message, hint=hint, site=site)


def errors(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Those that refuse."""
    return tuple(finding for finding in findings if finding.severity is Severity.ERROR)


def answers(seen: FleetSeen, name: str) -> AgentState | None:
    """What the site's agent said in this look, or ``None``."""
    for site in seen.sites:
        if site.site == name:
            return site.state
    return None


def record_known(seen: FleetSeen) -> tuple[Finding, ...]:
    """The record was read in this look."""
    if seen.record is not None:
        return ()
    if seen.record_error:
        return (error("record-unknown", f"the record cannot be read: {seen.record_error}", "failover status"),)
    return (error("no-record", "there is no record yet: the fleet was never deployed", "failover deploy"),)


def born(record: Record) -> tuple[Finding, ...]:
    """The fleet has data (an epoch of 0 was declared and never had any)."""
    if record.epoch > 0:
        return ()
    return (error("not-born", "the first primary has not started yet", "failover deploy"),)


def known_data_site(fleet: Fleet, name: str) -> tuple[Finding, ...]:
    """``name`` is a site of the fleet that holds data."""
    data = tuple(site.name for site in fleet.data_sites)
    if name in data:
        return ()
    known = any(site.name == name for site in fleet.sites)
    what = f"{name} is a witness: it holds no data" if known else f"there is no site {name}"
    return (error("not-a-data-site", what, f"data sites: {', '.join(data)}", site=name),)


def agents_answer(seen: FleetSeen, names: Iterable[str]) -> tuple[Finding, ...]:
    """Every named agent answered in this look."""
    missing = [site for site in seen.sites if site.site in tuple(names) and site.state is None]
    return tuple(
        error(
            "agent-unreachable",
            f"the agent at {site.site} does not answer: {site.error or 'no answer'}",
            "failover deploy starts it again; failover promote SITE is for a primary that is lost",
            site=site.site,
        )
        for site in missing
    )


def agents_fresh(fleet: Fleet, seen: FleetSeen, names: Iterable[str]) -> tuple[Finding, ...]:
    """Every named agent has read the record lately itself; a keeper that has not cannot follow a move."""
    limit_s = fleet.timing.fresh_s
    found: list[Finding] = []
    for name in names:
        state = answers(seen, name)
        if state is not None and (state.record_s_ago is None or state.record_s_ago > limit_s):
            age = "never" if state.record_s_ago is None else f"{state.record_s_ago:.1f} s ago"
            found.append(
                error("keeper-stale", f"the keeper at {name} read the record {age}", "failover status", site=name)
            )
    return tuple(found)


def no_other_move(record: Record, run: str) -> tuple[Finding, ...]:
    """No live move of another run stands in the record."""
    move = record.move
    if move is None or move.run == run:
        return ()
    return (
        error(
            "move-live",
            f"run {move.run} is moving {site_of(move.source)} -> {site_of(move.target)}",
            f"failover resume {move.run}; a dead run's move ends by itself after {move.budget_s:.0f} s",
        ),
    )


def primary_serves(seen: FleetSeen, record: Record) -> tuple[Finding, ...]:
    """The record's primary runs as primary, with the copy the record names."""
    state = answers(seen, record.primary_site)
    if state is None:
        return ()
    database = state.database
    if database.state != "primary" or database.member != record.primary:
        what = f"{database.member or 'no copy'} is {database.state}, the record says {record.primary}"
        hint = f"failover status; if it is lost: failover promote {_other(record)}"
        return (error("primary-not-serving", what, hint, site=state.site),)
    return ()


def _other(record: Record) -> str:
    return site_of(record.sync[0]) if record.sync else "SITE"


def target_in_sync(seen: FleetSeen, record: Record, target: str) -> tuple[Finding, ...]:
    """The target's copy is a sync member: it holds every acknowledged write (safety B3)."""
    if any(site_of(member) == target for member in record.sync):
        return ()
    return (
        error(
            "not-in-sync",
            f"the copy at {target} is not a sync member: it may lack acknowledged writes",
            "failover status --watch until it says protected",
            site=target,
        ),
    )


def target_streams(seen: FleetSeen, record: Record, target: str) -> tuple[Finding, ...]:
    """The target's copy is the one in the record, a standby, streaming, and close behind."""
    state = answers(seen, target)
    if state is None:
        return ()
    database = state.database
    member = next((member for member in record.sync if site_of(member) == target), None)
    if database.state != "standby":
        return (error("not-a-standby", f"PostgreSQL at {target} is {database.state}", "failover status", site=target),)
    if member is not None and database.member != member:
        what = f"the copy at {target} is {database.member}, the record knows {member}"
        return (error("another-copy", what, "failover status --watch until the new copy is in sync", site=target),)
    if not database.streaming:
        return (error("not-streaming", f"the standby at {target} does not stream", "failover status", site=target),)
    return _lag(seen, record, target, database.position, database.replayed)


def _lag(seen: FleetSeen, record: Record, target: str, received: int, replayed: int) -> tuple[Finding, ...]:
    found: list[Finding] = []
    primary = answers(seen, record.primary_site)
    row = None if primary is None else _row(primary, target)
    if primary is not None and row is None:
        found.append(error("not-streaming", f"the primary sees no standby of {target}", "failover status", site=target))
    behind = primary.database.position - row.flush_lsn if primary is not None and row is not None else 0
    if behind > MOST_LAG_BYTES:
        what = f"the standby at {target} is {behind / 1e6:.0f} MB behind"
        found.append(error("lag", what, "wait until it has caught up: failover status --watch", site=target))
    if received - replayed > MOST_REPLAY_LAG_BYTES:
        what = f"the standby at {target} has {(received - replayed) / 1e6:.0f} MB received and not replayed"
        hint = "a long query there holds replay back; end it, then try again"
        found.append(error("replay-lag", what, hint, site=target))
    return tuple(found)


def _row(primary: AgentState, target: str) -> Replica | None:
    for replica in primary.database.replicas:
        if replica.application_name.rpartition("_")[0] == target:
            return replica
    return None


def names_in_force(seen: FleetSeen, record: Record, target: str) -> tuple[Finding, ...]:
    """The target's sync names already hold the present primary, shown to be in force (safety C7, B2).

    Only because of this may the planned commit list the old primary as sync before it streams again.
    """
    state = answers(seen, target)
    if state is None or record.primary in (state.database.names_proven or ()):
        return ()
    return (
        error(
            "names-not-proven",
            f"{target} has not shown that its commits would wait for {record.primary}",
            "its keeper does so within seconds of starting; failover status --watch",
            site=target,
        ),
    )


def services_ready(fleet: Fleet, seen: FleetSeen, target: str) -> tuple[Finding, ...]:
    """Every service that should run at the target runs (``when_primary`` ones start with the move)."""
    state = answers(seen, target)
    if state is None:
        return ()
    wanted = {service.name for service in fleet.app.services if service.start == "always"} | {"edge"}
    running = {service.name: service.state for service in state.services}
    return tuple(
        error(
            "service-missing",
            f"{name} at {target} is {running.get(name, 'not there')}",
            f"failover deploy {target}; its log is in the site's log folder",
            site=target,
        )
        for name in sorted(wanted)
        if running.get(name) != "running"
    )


def gates_known(fleet: Fleet, seen: FleetSeen, names: Iterable[str]) -> tuple[Finding, ...]:
    """Every gate answers: a process whose gate does not would go on writing through a hold."""
    if fleet.app.promise is AppClass.G4:
        return ()
    found: list[Finding] = []
    for name in names:
        state = answers(seen, name)
        if state is not None and state.gate.state == "unknown":
            what = f"a gate at {name} does not answer"
            hint = f"failover status; restart the process that hangs, or failover deploy {name}"
            found.append(error("gate-unknown", what, hint, site=name))
    return tuple(found)


def gates_free(seen: FleetSeen, names: Iterable[str], run: str) -> tuple[Finding, ...]:
    """No other run holds a gate."""
    found: list[Finding] = []
    for name in names:
        state = answers(seen, name)
        if state is not None and state.gate.hold_run not in ("", run):
            what = f"run {state.gate.hold_run} holds the gates at {name}"
            found.append(error("gate-held", what, "it ends by itself within its budget", site=name))
    return tuple(found)
