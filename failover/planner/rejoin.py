"""Release a former primary that acknowledged alone: what only it has is kept, then its copy may be rewound. Pure.

What must never be here: a way to release a copy whose writes past the fork were not saved and counted.
"""

from __future__ import annotations

import msgspec

from failover.model.finding import Finding
from failover.model.fleet import Fleet
from failover.model.observation import AgentState, FleetSeen
from failover.model.plan import AwaitRejoined, Plan, Refusal, ReleaseQuarantine, Step
from failover.model.record import AcceptedLoss, Record
from failover.model.units import MemberId, site_of
from failover.planner import preflight
from failover.planner.byhand import ByHand
from failover.planner.dns_steps import dns_steps
from failover.planner.switchover_steps import LANE, protected

REJOIN_TIMEOUT_S = 600.0


class RejoinAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``site``: whose copy is released."""

    site: str


def plan(fleet: Fleet, seen: FleetSeen, ask: RejoinAsk) -> Plan | Refusal:
    """The release, the wait for the new copy, the wait for protection; then names, at every DNS provider."""
    found = (*preflight.known_data_site(fleet, ask.site), *preflight.record_known(seen))
    record, state = seen.record, preflight.answers(seen, ask.site)
    if found or record is None:
        return _refusal(ask, found)
    if state is None:
        return _refusal(ask, preflight.agents_answer(seen, (ask.site,)))
    loss = record.quarantine(state.database.member)
    if loss is None:
        return Plan(verb="rejoin", summary=f"the copy at {ask.site} is not quarantined", steps=())
    found = _check(seen, record, state)
    if found or state.kept is None:
        return _refusal(ask, found)
    member, kept = loss.source, state.kept
    return Plan(
        verb="rejoin",
        summary=f"{ask.site} comes back as a standby; {kept.commits} commits that only it has stay behind",
        steps=(
            _release(fleet, member),
            _rejoined(fleet, member),
            protected(fleet, lane=LANE, after=("rejoined",)),
            # Its DNS server came back with the names of before, and its edge serves again.
            *dns_steps(fleet, record.primary_site, after=("rejoined",)),
        ),
        # No figure of its own: what the copy holds does not change any more, so this is no measured value (F4).
        hazards=(f"{kept.commits} commits of {member} leave its database; they are kept as {kept.id}",),
        measured=_measured(loss, state),
    )


def _check(seen: FleetSeen, record: Record, state: AgentState) -> tuple[Finding, ...]:
    found = [*preflight.no_other_move(record, ""), *preflight.primary_serves(seen, record)]
    if preflight.answers(seen, record.primary_site) is None:
        found.extend(preflight.agents_answer(seen, (record.primary_site,)))
    if state.kept is None:
        what = f"{state.site} has not saved yet what only {state.database.member} has: {state.doing}"
        found.append(preflight.error("evidence-missing", what, "failover status --watch", site=state.site))
    return tuple(found)


def _measured(loss: AcceptedLoss, state: AgentState) -> tuple[str, ...]:
    kept = state.kept
    size = "" if kept is None else f"{kept.commits} commits, {kept.wal_bytes} bytes of WAL past the fork"
    return (
        f"saved at {state.site}: {size}; failover certificate show {kept.id if kept else ''}".rstrip(),
        f"left behind by run {loss.run}, which accepted a loss of {loss.accepted_s:g} s",
    )


def _release(fleet: Fleet, member: MemberId) -> Step:
    hand = ByHand(fleet)
    site = site_of(member)
    noted = f"[l.update(released_by='by-hand') for l in r['accepted'] if l['source']=='{member}']"
    return Step(
        id="release-quarantine",
        title=f"Release {member}",
        action=ReleaseQuarantine(member=member),
        why="what only this copy has is saved and counted; from here its keeper may rewind it",
        site=site,
        timeout_s=15.0,
        commit=True,
        lane=LANE,
        command=hand.swap(f"{noted}; r['version']=1"),
        check=hand.record(),
        back="# none: the copy is rewound; what it had is in its certificate's folder",
    )


def _rejoined(fleet: Fleet, member: MemberId) -> Step:
    hand = ByHand(fleet)
    site = site_of(member)
    return Step(
        id="rejoined",
        title=f"A new copy at {site} streams",
        action=AwaitRejoined(site=site, member=member),
        why="its keeper rewinds the copy under a new id, or makes a base backup when it cannot",
        site=site,
        timeout_s=REJOIN_TIMEOUT_S,
        lane=LANE,
        after=("release-quarantine",),
        command="# wait: the keeper there does it",
        check=hand.psql(site, "SELECT status FROM pg_stat_wal_receiver"),
        back="# none",
    )


def _refusal(ask: RejoinAsk, found: tuple[Finding, ...]) -> Refusal:
    return Refusal(verb="rejoin", summary=f"rejoin {ask.site} is refused; nothing was changed", findings=found)
