"""The planned move: no acknowledged write is lost and no client sees an error (facts: postgres, exact sequence). Pure.

Order is the law: hold before stop, stop before received, received before the commit. Everything before the commit step
has its way back; after it only forward.
"""

from __future__ import annotations

import msgspec

from failover.model.finding import Finding
from failover.model.fleet import PROMISE, Fleet
from failover.model.observation import FleetSeen
from failover.model.plan import Plan, Refusal
from failover.model.record import Record
from failover.model.units import MemberId, format_lsn, site_of
from failover.planner import preflight
from failover.planner.switchover_steps import finish_steps, move_steps


class SwitchoverAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``to``: the site that should be primary. ``run``: the run that asks, so that its own claim does not refuse it."""

    to: str
    run: str = ""


def plan(fleet: Fleet, seen: FleetSeen, ask: SwitchoverAsk, *, verb: str = "switchover") -> Plan | Refusal:
    """The move to ``ask.to``; an empty plan when it is primary and settled; else why not.

    Planned again in the middle of a move it gives what remains of it.
    """
    basics = (*preflight.known_data_site(fleet, ask.to), *preflight.record_known(seen))
    record = seen.record
    if basics or record is None:
        return _refusal(verb, ask.to, basics)
    if record.primary_site == ask.to:
        return _already(fleet, seen, record, ask, verb)
    found = check(fleet, seen, record, ask)
    if preflight.errors(found):
        return _refusal(verb, ask.to, found)
    target = next(member for member in record.sync if site_of(member) == ask.to)
    claimed = record.move is not None and record.move.run == ask.run and bool(ask.run)
    return Plan(
        verb=verb,
        summary=f"move writes from {record.primary_site} to {ask.to}",
        steps=move_steps(fleet, source=record.primary, target=target, epoch=record.epoch, claimed=claimed),
        promise=PROMISE[fleet.app.promise],
        measured=measured(seen, record, target),
    )


def check(fleet: Fleet, seen: FleetSeen, record: Record, ask: SwitchoverAsk) -> tuple[Finding, ...]:
    """Everything that speaks against the move now."""
    data = tuple(site.name for site in fleet.data_sites)
    own = record.move is not None and bool(ask.run) and record.move.run == ask.run
    found = (
        *preflight.born(record),
        *preflight.no_other_move(record, ask.run),
        *preflight.agents_answer(seen, (record.primary_site, ask.to)),
        *preflight.agents_fresh(fleet, seen, (record.primary_site, ask.to)),
        *preflight.target_in_sync(seen, record, ask.to),
        *preflight.names_in_force(seen, record, ask.to),
        *preflight.services_ready(fleet, seen, ask.to),
        *preflight.gates_known(fleet, seen, data),
        *preflight.gates_free(seen, data, ask.run),
    )
    if own:
        # In the middle of its own move the primary may be stopped already and the standby has nothing to stream from.
        return found
    return (*found, *preflight.primary_serves(seen, record), *preflight.target_streams(seen, record, ask.to))


def measured(seen: FleetSeen, record: Record, target: MemberId) -> tuple[str, ...]:
    """Facts beside the plan; they change each second and are no part of its digest (safety F4)."""
    facts = [f"epoch {record.epoch}, primary {record.primary}, sync {', '.join(record.sync) or 'nobody'}"]
    primary = preflight.answers(seen, record.primary_site)
    standby = preflight.answers(seen, site_of(target))
    if primary is not None:
        facts.append(f"{primary.database.open_writes} open write transactions at {primary.site}")
        facts.append(f"{primary.site} has written up to {format_lsn(primary.database.position)}")
    if primary is not None and standby is not None:
        behind = max(0, primary.database.position - standby.database.position)
        replay = max(0, standby.database.position - standby.database.replayed)
        facts.append(f"{standby.site} is {behind} bytes behind and has {replay} bytes to replay")
    return tuple(facts)


def _already(fleet: Fleet, seen: FleetSeen, record: Record, ask: SwitchoverAsk, verb: str) -> Plan:
    """Nothing to do, or the rest of a move whose commit is in the record."""
    return Plan(
        verb=verb,
        summary=f"{ask.to} is primary already",
        steps=finish_steps(fleet, seen, record, ask.to, run=ask.run),
        promise=PROMISE[fleet.app.promise],
    )


def _refusal(verb: str, site: str, found: tuple[Finding, ...]) -> Refusal:
    return Refusal(verb=verb, summary=f"{verb} to {site} is refused; nothing was changed", findings=found)
