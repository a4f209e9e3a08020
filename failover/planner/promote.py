"""The primary is lost: ask the candidate's keeper to take over. Pure.

A request, never a command (safety G2): the keeper swaps the record itself, past every guard. A copy that is not in
``sync`` is asked only when the operator accepts at least the exposure that was measured; the record refuses the rest.
"""

from __future__ import annotations

import math

import msgspec

from failover.model.finding import Finding
from failover.model.fleet import PROMISE, Fleet
from failover.model.observation import AgentState, FleetSeen
from failover.model.plan import ClaimMove, Plan, Refusal, Step
from failover.model.record import Record
from failover.model.units import MemberId, format_duration, format_lsn, site_of
from failover.planner import preflight
from failover.planner.byhand import ByHand
from failover.planner.dns_steps import dns_steps
from failover.planner.exposure import Exposure, exposure
from failover.planner.loss import covers_loss
from failover.planner.switchover_steps import LANE, await_primary, finish_steps
from failover.planner.verdict import DOWN, UP, Opinion, agreed_down

REQUEST_BUDGET_S = 60.0
_NO_WAY = "bring the old primary back: no other copy is known to have what it acknowledged"


class PromoteAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``site``: who should take over. ``accept_loss_s``: how much exposure the operator accepts (0: none)."""

    site: str
    run: str = ""
    accept_loss_s: float = 0.0


def plan(fleet: Fleet, seen: FleetSeen, ask: PromoteAsk) -> Plan | Refusal:
    """The request, the wait, and the names at every DNS provider that lives."""
    basics = (*preflight.known_data_site(fleet, ask.site), *preflight.record_known(seen))
    record = seen.record
    if basics or record is None:
        return _refusal(ask, basics)
    if record.primary_site == ask.site:
        return Plan(
            verb="promote",
            summary=f"{ask.site} is primary already",
            steps=finish_steps(fleet, seen, record, ask.site, run=ask.run),
        )
    found = check(fleet, seen, record, ask)
    if preflight.errors(found):
        return _refusal(ask, found)
    risk, dead = exposure(record, seen, ask.site), record.primary_site
    target = _target(seen, record, ask.site)
    accept_s = 0.0 if risk.protected else ask.accept_loss_s
    return Plan(
        verb="promote",
        summary=f"{dead} is lost: {ask.site} takes over",
        steps=(
            *_request(fleet, record, target, accept_s, claimed=_claimed(record, ask)),
            await_primary(fleet, ask.site, lane=LANE),
            *dns_steps(fleet, ask.site, after=("primary",), without=(dead,)),
        ),
        hazards=_hazards(fleet, dead, accept_s),
        promise=f"{_promised(accept_s)}; {PROMISE[fleet.app.promise]}",
        measured=_measured(seen, record, target, risk),
        at_risk=risk.text,
    )


def check(fleet: Fleet, seen: FleetSeen, record: Record, ask: PromoteAsk) -> tuple[Finding, ...]:
    """Everything that speaks against it now."""
    return (
        *preflight.born(record),
        *preflight.no_other_move(record, ask.run),
        *_lost(fleet, seen, record, ask.site),
        *_candidate(seen, record, ask),
    )


def observers(fleet: Fleet, seen: FleetSeen, suspect: str) -> tuple[Opinion, ...]:
    """What each live agent says of ``suspect``."""
    found: list[Opinion] = []
    for site in seen.sites:
        if site.state is None or site.site == suspect:
            continue
        for probe in site.state.probes:
            if probe.site == suspect:
                provider = fleet.site(site.site).provider
                found.append(Opinion(observer=site.site, provider=provider, verdict=probe.verdict))
    return tuple(found)


def _lost(fleet: Fleet, seen: FleetSeen, record: Record, to: str) -> tuple[Finding, ...]:
    """Two observers at two live providers find the primary gone, and it does not answer us either."""
    suspect = record.primary_site
    state = preflight.answers(seen, suspect)
    if state is not None and state.database.state == "primary":
        what = f"{suspect} answers and runs as primary"
        return (preflight.error("primary-alive", what, f"failover switchover --to {to}", site=suspect),)
    opinions = observers(fleet, seen, suspect)
    if agreed_down(opinions, suspect_provider=fleet.site(suspect).provider):
        return ()
    said = ", ".join(f"{opinion.observer} says {opinion.verdict}" for opinion in opinions) or "nobody can be asked"
    alive = any(opinion.verdict == UP for opinion in opinions)
    downs = sum(opinion.verdict == DOWN for opinion in opinions)
    what = f"{suspect} is not agreed to be gone: {said} ({downs} of 2 needed)"
    hint = f"failover switchover --to {to}" if alive else "bring a second observer back: failover status names them"
    return (preflight.error("not-agreed-down", what, hint, site=suspect),)


def _candidate(seen: FleetSeen, record: Record, ask: PromoteAsk) -> tuple[Finding, ...]:
    state = preflight.answers(seen, ask.site)
    listed = any(site_of(member) == ask.site for member in record.sync)
    if record.sync and not listed:
        other = site_of(record.sync[0])
        what = f"the copy at {ask.site} is not a sync member, the one at {other} is and lacks nothing"
        return (preflight.error("another-in-sync", what, f"failover promote {other}", site=ask.site),)
    if state is None:
        return preflight.agents_answer(seen, (ask.site,))
    if state.database.position < record.flushed_lsn:
        behind = f"{format_lsn(state.database.position)} < {format_lsn(record.flushed_lsn)}"
        what = f"the copy at {ask.site} is behind what it once acknowledged ({behind}): its disk went back in time"
        return (preflight.error("disk-rolled-back", what, _NO_WAY, site=ask.site),)
    return () if listed else _loss(seen, record, state, ask)


def _loss(seen: FleetSeen, record: Record, state: AgentState, ask: PromoteAsk) -> tuple[Finding, ...]:
    """The copy is not in sync only because the primary went on alone: at most what is accepted may be missing."""
    risk = exposure(record, seen, ask.site)
    dead = record.primary_site
    what = f"the copy at {ask.site} is not a sync member: it lacks {risk.text}"
    if risk.seconds_s is None:
        what = f"the copy at {ask.site} is not a sync member, and how long {dead} acknowledged alone is not known"
        return (preflight.error("exposure-unknown", what, _NO_WAY, site=ask.site),)
    if risk.seconds_s > ask.accept_loss_s:
        accepted = f", more than the accepted {format_duration(ask.accept_loss_s)}" if ask.accept_loss_s else ""
        enough = math.ceil(risk.seconds_s / 60) + 1
        hint = f"bring {dead} back, or lose it: failover promote {ask.site} --accept-loss {enough}m"
        return (preflight.error("loss-not-accepted", what + accepted, hint, site=ask.site),)
    if not covers_loss(record, state.database, accept_loss_s=ask.accept_loss_s):
        what = f"the copy at {ask.site} lacks writes from before {dead} was alone: no accepted duration covers them"
        return (preflight.error("copy-too-old", what, _NO_WAY, site=ask.site),)
    return ()


def _target(seen: FleetSeen, record: Record, site: str) -> MemberId:
    """The listed copy, or the one that is there."""
    listed = next((member for member in record.sync if site_of(member) == site), None)
    state = preflight.answers(seen, site)
    return listed or MemberId(state.database.member if state is not None else "")


def _claimed(record: Record, ask: PromoteAsk) -> bool:
    return record.move is not None and record.move.run == ask.run


def _request(fleet: Fleet, record: Record, target: MemberId, accept_s: float, *, claimed: bool) -> tuple[Step, ...]:
    if claimed:
        return ()
    hand = ByHand(fleet)
    move = {
        "run": "by-hand",
        "kind": "promote",
        "source": str(record.primary),
        "target": str(target),
        "budget_s": REQUEST_BUDGET_S,
        **({"accept_loss_s": accept_s} if accept_s else {}),
    }
    action = ClaimMove(
        kind="promote", source=record.primary, target=target, budget_s=REQUEST_BUDGET_S, accept_loss_s=accept_s
    )
    return (
        Step(
            id="request",
            title=f"Ask the keeper at {site_of(target)} to take over",
            action=action,
            why="the keeper takes `primary` by the record, past every guard; from here it may act at any moment",
            site=site_of(target),
            timeout_s=15.0,
            commit=True,
            lane=LANE,
            command=hand.swap(f"r['move']={move}"),
            check=hand.record(),
            back=hand.swap("r['move']=None") + "  # works only until the keeper has acted",
        ),
    )


def _hazards(fleet: Fleet, dead: str, accept_s: float) -> tuple[str, ...]:
    hazards = [f"{dead} is fenced: it comes back as a standby only"]
    if fleet.site(dead).dns:
        hazards.append(f"{dead}'s DNS server cannot be corrected: remove its NS of {fleet.dns.zone} at the registrar")
    if accept_s:
        lost = f"what {dead} acknowledged alone, up to {format_duration(accept_s)} of it"
        hazards.append(f"{lost}, is lost to everybody; {dead} is quarantined until failover rejoin {dead}")
    return tuple(hazards)


def _measured(seen: FleetSeen, record: Record, target: MemberId, risk: Exposure) -> tuple[str, ...]:
    """Stated before the move, so that it can be compared with what was lost."""
    facts = [f"at risk: {risk.text}"]
    if risk.protected:
        facts.append(f"epoch {record.epoch}, {target} is sync: every acknowledged write is on it")
    state = preflight.answers(seen, site_of(target))
    if state is not None:
        facts.append(f"{site_of(target)} has received {format_lsn(state.database.position)}")
    facts.append(f"sync members had flushed {format_lsn(record.flushed_lsn)} when the primary last said so")
    return tuple(facts)


def _promised(accept_s: float) -> str:
    if not accept_s:
        return "0 acknowledged writes lost"
    return f"acknowledged writes of at most {format_duration(accept_s)} lost, counted when their copy is back"


def _refusal(ask: PromoteAsk, found: tuple[Finding, ...]) -> Refusal:
    return Refusal(verb="promote", summary=f"promote {ask.site} is refused; nothing was changed", findings=found)
