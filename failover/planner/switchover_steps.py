"""The steps of a planned move, each with its way back and what a person would type. Pure; ``switchover`` decides when.

Lanes: the two checkpoints run side by side before the pause; ``move`` is the pause itself; names follow on their own.
"""

from __future__ import annotations

from failover.model.fleet import AppClass, Fleet, Service
from failover.model.observation import FleetSeen
from failover.model.plan import (
    AwaitDrained,
    AwaitPrimary,
    AwaitProtected,
    AwaitReceived,
    AwaitServing,
    Checkpoint,
    ClaimMove,
    ClearMove,
    CommitMove,
    HoldGates,
    QuiesceApp,
    ReleaseGates,
    Step,
    StopPrimary,
)
from failover.model.record import Record
from failover.model.spec import HOOK_BUDGET_S
from failover.model.units import MemberId, site_of
from failover.planner.byhand import NOTHING, ByHand
from failover.planner.dns_steps import dns_steps
from failover.planner.preflight import answers
from failover.planner.wal_steps import rest_shipper

LANE = "move"
STOP_BUDGET_S = 1.0
"""A stop that takes longer is given up and A starts again (safety D1)."""
RECEIVE_BUDGET_S = 1.0
DRAIN_BUDGET_S = 1.0
CHECKPOINT_TIMEOUT_S = 60.0
PROTECT_TIMEOUT_S = 120.0


def move_steps(
    fleet: Fleet, *, source: MemberId, target: MemberId, epoch: int, claimed: bool = False
) -> tuple[Step, ...]:
    """All steps; ``claimed``: this run's move stands in the record already, so what comes before it was done."""
    plain = fleet.app.promise is AppClass.G3
    quiesce = (_quiesce(fleet),) if plain else ()
    serving = (_serving(fleet, site_of(target)),) if plain else ()
    before = () if claimed else (*_checkpoints(fleet, source, target), *quiesce, _claim(fleet, source, target))
    return (
        *before,
        *rest_shipper(fleet, site_of(source), lane=LANE),
        _hold(fleet, site_of(source), epoch),
        *_stop(fleet, source, target),
        _commit(fleet, source, target),
        await_primary(fleet, site_of(target), lane=LANE),
        release(fleet, lane=LANE),
        *serving,
        protected(fleet, lane=LANE),
        # After the catch-up: nobody's request waits for a name, and a busy machine has its hands full until then.
        *dns_steps(fleet, site_of(target), after=("protected",)),
    )


def finish_steps(fleet: Fleet, seen: FleetSeen, record: Record, target: str, *, run: str) -> tuple[Step, ...]:
    """What remains once the commit is in the record; nothing when the fleet has settled."""
    state = answers(seen, target)
    serving = state is not None and state.database.state == "primary" and state.database.member == record.primary
    mine = bool(run)
    held = any(
        site.state is not None and site.state.gate.hold_run == run for site in seen.sites
    ) if mine else False
    steps: list[Step] = []
    if not serving:
        steps.append(await_primary(fleet, target, lane=LANE))
    if held or (mine and not serving):
        steps.append(release(fleet, lane=LANE))
    if mine and not (serving and is_protected(seen, record)):
        steps.append(protected(fleet, lane=LANE))
    if steps:
        steps.extend(dns_steps(fleet, target, after=(steps[0].id,)))
    return tuple(steps)


def is_protected(seen: FleetSeen, record: Record) -> bool:
    """The record lists a sync member and the primary sees it stream."""
    state = answers(seen, record.primary_site)
    if state is None or not record.sync:
        return False
    streaming = {row.application_name for row in state.database.replicas if row.state == "streaming"}
    return all(member in streaming for member in record.sync)


def _checkpoints(fleet: Fleet, source: MemberId, target: MemberId) -> tuple[Step, ...]:
    hand = ByHand(fleet)
    return tuple(
        Step(
            id=f"checkpoint-{site}",
            title=f"Checkpoint at {site}",
            action=Checkpoint(site=site),
            why="so that the stop inside the pause has little left to write",
            site=site,
            timeout_s=CHECKPOINT_TIMEOUT_S,
            required=False,
            lane=f"checkpoint-{site}",
            command=hand.psql(site, "CHECKPOINT"),
            check=hand.psql(site, "SELECT checkpoint_time FROM pg_control_checkpoint()"),
            back=NOTHING,
        )
        for site in (site_of(source), site_of(target))
    )


def _claim(fleet: Fleet, source: MemberId, target: MemberId) -> Step:
    hand = ByHand(fleet)
    both = (site_of(source), site_of(target))
    return Step(
        id="claim",
        title=f"Claim the move {site_of(source)} -> {site_of(target)} in the record",
        action=ClaimMove(kind="switchover", source=source, target=target, budget_s=fleet.timing.move_budget_s),
        why="keepers stand down for this run while the claim is live; it ends by itself",
        timeout_s=5.0,
        undo=ClearMove(),
        lane=LANE,
        after=(f"checkpoint-{site_of(source)}", f"checkpoint-{site_of(target)}"),
        command="\n".join((hand.freeze(both), hand.swap(_move_by_hand(fleet, source, target)))),
        check=hand.record(),
        back="\n".join((hand.swap("r['move']=None"), hand.thaw(both))),
    )


def _move_by_hand(fleet: Fleet, source: MemberId, target: MemberId) -> str:
    move = {
        "run": "by-hand",
        "kind": "switchover",
        "source": source,
        "target": target,
        "budget_s": fleet.timing.move_budget_s,
    }
    return f"r['move']={move}"


def _quiesce(fleet: Fleet) -> Step:
    """Before the claim, whose budget is for the move itself: whoever is not slow is served all this time."""
    hand = ByHand(fleet)
    sites = tuple(site.name for site in fleet.data_sites)
    slow_s, timing = fleet.app.http.slow_budget_s, fleet.timing
    workers = [service for service in fleet.app.services if service.quiesce]
    longest_s = max(slow_s, HOOK_BUDGET_S) if workers else slow_s
    stopped = [service.name for service in fleet.app.services if service.stops_for_a_move]
    said = [f"{', '.join(stopped)} stops"] if stopped else []
    said += [f"{service.name} by {' '.join(service.quiesce)}" for service in workers]
    by_hand = [hand.hold_slow(sites), *(f"# {_where(service)}: {' '.join(service.quiesce)}" for service in workers)]
    by_hand += [f"# stop {', '.join(stopped)}"] if stopped else []
    back = [*(f"# {_where(service)}: {' '.join(service.resume)}" for service in workers), hand.thaw(sites)]
    return Step(
        id="quiesce",
        title=f"Quiesce the app ({'; '.join(said) or 'slow requests end'})",
        action=QuiesceApp(sites=sites, slow_s=slow_s, budget_s=longest_s + timing.move_budget_s + timing.hold_budget_s),
        why="workers write without a request, and nobody should wait for somebody else's upload",
        timeout_s=longest_s + 15.0,
        undo=ReleaseGates(sites=sites),
        lane=LANE,
        command="\n".join(by_hand),
        check=hand.held(sites),
        back="\n".join(back),
    )


def _where(service: Service) -> str:
    """Where its hooks run: wherever it does."""
    return "at the primary" if service.start == "when_primary" else "at every data site"


def _serving(fleet: Fleet, site: str) -> Step:
    hand = ByHand(fleet)
    return Step(
        id="serving",
        title=f"The app at {site} serves",
        action=AwaitServing(site=site),
        why="it starts with its primary; until it answers the edges hold what comes in",
        site=site,
        timeout_s=60.0,
        required=False,
        lane=LANE,
        command="# wait: its agent starts it",
        check=hand.edge(site),
        back=NOTHING,
    )


def _hold(fleet: Fleet, source: str, epoch: int) -> Step:
    hand = ByHand(fleet)
    sites = tuple(site.name for site in fleet.data_sites)
    return Step(
        id="hold",
        title=f"Hold the gates at {' and '.join(sites)}",
        action=HoldGates(sites=sites, budget_s=fleet.timing.hold_budget_s),
        why="requests wait instead of failing; the agents open again by themselves when the budget is over",
        timeout_s=3.0 + fleet.timing.hold_budget_s / 2 if fleet.app.promise is AppClass.G3 else 3.0,
        undo=ReleaseGates(sites=sites),
        lane=LANE,
        command=hand.hold(sites, primary=source, epoch=epoch),
        check=hand.held(sites),
        back=hand.thaw(sites) + "  # the agents open the gates to whoever the record says serves",
    )


def _stop(fleet: Fleet, source: MemberId, target: MemberId) -> tuple[Step, ...]:
    hand = ByHand(fleet)
    a, b = site_of(source), site_of(target)
    open_writes = "SELECT pid, usename, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL"
    drained = Step(
        id="drain",
        title=f"No open write transaction at {a}",
        action=AwaitDrained(site=a, budget_s=DRAIN_BUDGET_S),
        why="drained means what PostgreSQL says, not what the edge counts (safety E2)",
        site=a,
        timeout_s=DRAIN_BUDGET_S + 2.0,
        lane=LANE,
        command=hand.psql(a, f"SELECT pg_terminate_backend(pid) FROM ({open_writes}) AS left_over"),
        check=hand.psql(a, open_writes),
        back=NOTHING,
    )
    stop = Step(
        id="stop",
        title=f"Stop PostgreSQL at {a}",
        action=StopPrimary(site=a, budget_s=STOP_BUDGET_S),
        why="fence before promote: a clean stop ships everything first, the shutdown checkpoint too",
        site=a,
        timeout_s=STOP_BUDGET_S + 5.0,
        undo=ClearMove(),
        lane=LANE,
        command=hand.stop_database(a),
        check=hand.controldata(a),
        back="\n".join((hand.swap("r['move']=None"), hand.thaw((a,)) + "  # its keeper starts it again")),
    )
    received = Step(
        id="receive",
        title=f"{b} has everything {a} wrote",
        action=AwaitReceived(source=a, target=b, budget_s=RECEIVE_BUDGET_S),
        why="without this the commit could lose the last writes; nothing is lost by giving up here",
        site=b,
        timeout_s=RECEIVE_BUDGET_S + 3.0,
        lane=LANE,
        command=hand.psql(b, "SELECT pg_last_wal_receive_lsn()") + "  # until it is past the shutdown checkpoint",
        check=hand.psql(b, "SELECT pg_last_wal_receive_lsn()"),
        back=NOTHING,
    )
    return drained, stop, received


def _commit(fleet: Fleet, source: MemberId, target: MemberId) -> Step:
    hand = ByHand(fleet)
    return Step(
        id="commit",
        title=f"Commit: {site_of(target)} is primary in the record",
        action=CommitMove(source=source, target=target),
        # Listing the old primary as sync before it streams is allowed only because the target's names are in force
        # (safety C7, checked in preflight): its first commit waits for the old primary.
        why="the one step that decides; before it everything can be taken back, after it only forward",
        site=site_of(target),
        timeout_s=10.0,
        commit=True,
        lane=LANE,
        command=hand.swap(
            f"r['epoch']+=1; r['primary']='{target}'; r['sync']=['{source}']; r['move']=None"
        ),
        check=hand.record(),
        back="# none: only forward from here; a second switchover brings it back",
    )


def await_primary(
    fleet: Fleet,
    site: str,
    *,
    lane: str,
    after: tuple[str, ...] = (),
    timeout_s: float = 30.0,
    or_whoever: bool = False,
) -> Step:
    """The site's keeper runs PostgreSQL as primary; ``or_whoever``: or that of the site which took over meanwhile."""
    hand = ByHand(fleet)
    return Step(
        id="primary",
        title=f"PostgreSQL at {site} is primary",
        action=AwaitPrimary(site=site, or_whoever=or_whoever),
        why="its keeper promotes because the record says so; nobody tells it to",
        site=site,
        timeout_s=timeout_s,
        lane=lane,
        after=after,
        command=hand.psql(site, "SELECT pg_promote(false)"),
        check=hand.psql(site, "SELECT pg_is_in_recovery()") + "  # f",
        back="# none: the record has decided",
    )


def release(fleet: Fleet, *, lane: str) -> Step:
    """Gates open to whoever the record says serves."""
    hand = ByHand(fleet)
    sites = tuple(site.name for site in fleet.data_sites)
    return Step(
        id="release",
        title=f"Release the gates at {' and '.join(sites)}",
        action=ReleaseGates(sites=sites),
        why="waiting requests go on at the new primary; their commits wait for the old one to stream",
        timeout_s=5.0,
        # An agent that died meanwhile releases its own hold; it must not keep the other site's clients waiting.
        required=False,
        lane=lane,
        command=hand.thaw(sites) + "  # the agents open the gates",
        check=" ; ".join(hand.edge(site) for site in sites),
        back=NOTHING,
    )


def protected(fleet: Fleet, *, lane: str, after: tuple[str, ...] = ()) -> Step:
    """The record lists a sync member that streams."""
    hand = ByHand(fleet)
    return Step(
        id="protected",
        title="A standby streams: every commit is on two providers",
        action=AwaitProtected(),
        why="until then the loss of one provider could lose writes",
        timeout_s=PROTECT_TIMEOUT_S,
        required=False,
        lane=lane,
        after=after,
        command="# wait: the keeper of the other site rejoins by itself",
        check=hand.record(),
        back=NOTHING,
    )
