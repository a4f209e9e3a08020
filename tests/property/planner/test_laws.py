"""Laws of every plan, whatever was seen: one commit, everything before it comes back, order, digest, plan again."""

from __future__ import annotations

from pathlib import Path

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from failover.engine.clock import BootClock
from failover.engine.handler import Context, See
from failover.engine.order import all_before, check_plan
from failover.model.fleet import Fleet
from failover.model.observation import AgentState, FleetSeen, GateFacts
from failover.model.plan import (
    Action,
    AwaitDrained,
    AwaitReceived,
    Checkpoint,
    ClaimMove,
    CommitMove,
    HoldGates,
    Plan,
    RestShipper,
    Step,
    StopPrimary,
)
from failover.model.record import Move, Record
from failover.operations.handlers import handlers
from failover.operations.inspect import look
from failover.operations.session import Session
from failover.planner import deploy, destroy, failback, names, promote, switchover
from failover.ports.record import Lease
from tests.fakes.hosts import (
    ALPHA,
    BETA,
    agent,
    fleet,
    nothing_seen,
    plain_fleet,
    record,
    seen,
    shipping_fleet,
    suspects,
)
from tests.fakes.wired import Memory, memory

KNOWN = frozenset(handlers(Session(wired=None)))  # type: ignore[arg-type]
HARMLESS = (Checkpoint, RestShipper, AwaitDrained, AwaitReceived)
FENCE: tuple[type[Action], ...] = (HoldGates, AwaitDrained, StopPrimary, AwaitReceived)
# An app without a gate of its own, with a process and a worker that run at the primary only.
PLAIN = msgspec.structs.replace(
    plain_fleet(), app=msgspec.structs.replace(plain_fleet().app, services=plain_fleet().app.services[:2])
)
SHIPPING = shipping_fleet()
SPECS = {site.name: f"digest-{site.name}" for site in fleet().sites}

records = some.builds(
    lambda pair, sync, epoch, move: record(
        primary=pair[0],
        sync=(pair[1],) if sync else (),
        epoch=epoch,
        move=Move(run=move, kind="switchover", source=pair[0], target=pair[1], budget_s=10) if move else None,
    ),
    some.sampled_from([(ALPHA, BETA), (BETA, ALPHA)]),
    some.sampled_from([True, True, True, False]),
    some.sampled_from([1, 2, 5, 9]),
    some.sampled_from(["", "", "", "r1", "other"]),
)


@some.composite
def looks(draw: some.DrawFn) -> FleetSeen:
    """A look at a fleet in any of many states, most of them not settled."""
    of = draw(records)
    states: dict[str, AgentState | None] = {}
    for site in fleet().sites:
        if draw(some.sampled_from([False, False, False, True])):
            states[site.name] = None
            continue
        state = agent(site.name, of)
        if site.name != of.primary_site:
            state = suspects(site.name, of, of.primary_site, draw(some.sampled_from(["up", "down", "unknown"])))
        if draw(some.booleans()):
            database = msgspec.structs.replace(
                state.database,
                state=draw(some.sampled_from(["absent", "stopped", "starting", "primary", "standby"])),
                position=draw(some.integers(0, 2**40)),
                names_proven=draw(some.sampled_from([(), None, (str(of.primary),)])),
            )
            state = msgspec.structs.replace(state, database=database)
        if draw(some.sampled_from([False, False, True])):
            gate = GateFacts(state=draw(some.sampled_from(["open", "hold", "unknown"])), hold_run="r1")
            state = msgspec.structs.replace(state, gate=gate)
        states[site.name] = state
    found = seen(of, **states)
    if draw(some.sampled_from([False, False, False, False, True])):
        return msgspec.structs.replace(found, record=None, record_error=draw(some.sampled_from(["", "no majority"])))
    return found


def every_plan(at: FleetSeen, run: str = "") -> list[Plan]:
    """What each verb answers, where it is a plan."""
    declared = fleet()
    ask = deploy.DeployAsk(member=ALPHA, specs=SPECS)
    found = [
        *(switchover.plan(declared, at, switchover.SwitchoverAsk(to=to, run=run)) for to in ("alpha", "beta", "gamma")),
        *(switchover.plan(SHIPPING, at, switchover.SwitchoverAsk(to=to, run=run)) for to in ("alpha", "beta")),
        *(switchover.plan(PLAIN, at, switchover.SwitchoverAsk(to=to, run=run)) for to in ("alpha", "beta")),
        *(promote.plan(declared, at, promote.PromoteAsk(site=to, run=run)) for to in ("alpha", "beta")),
        failback.plan(declared, at, failback.FailbackAsk(run=run)),
        names.plan(declared, at, names.NamesAsk()),
        deploy.plan(declared, at, ask),
        deploy.plan(declared, at, msgspec.structs.replace(ask, born_before=True)),
        destroy.plan(declared, at, destroy.DestroyAsk()),
    ]
    return [one for one in found if isinstance(one, Plan)]


@given(some.one_of(looks(), some.just(nothing_seen()), some.just(nothing_seen(""))), some.sampled_from(["", "r1"]))
def test_every_plan_can_be_carried_out_and_followed_by_hand(at: FleetSeen, run: str) -> None:
    for plan in every_plan(at, run):
        check_plan(plan, KNOWN)
        for step in plan.steps:
            assert step.why, step.id
            assert step.title, step.id
            assert step.command, step.id
            assert step.check, step.id
            assert step.back, step.id
            assert step.timeout_s > 0, step.id


@given(looks(), some.sampled_from(["", "r1"]))
def test_nothing_before_the_commit_is_without_a_way_back(at: FleetSeen, run: str) -> None:
    for plan in every_plan(at, run):
        commits = [step for step in plan.steps if step.commit]
        assert len(commits) <= 1
        for commit in commits:
            before = all_before(plan, commit.id)
            for step in plan.steps:
                if step.id in before:
                    assert step.undo is not None or isinstance(step.action, HARMLESS), step.id


@given(looks(), some.sampled_from(["", "r1"]))
def test_hold_drain_stop_and_receive_come_before_a_planned_commit(at: FleetSeen, run: str) -> None:
    for plan in every_plan(at, run):
        for commit in (step for step in plan.steps if isinstance(step.action, CommitMove)):
            before = all_before(plan, commit.id)
            order = [type(step.action) for step in plan.steps if step.id in before]
            places = [order.index(kind) for kind in FENCE]
            assert places == sorted(places)
            assert run == "r1" or ClaimMove in order


@given(looks(), some.sampled_from(["", "r1"]))
def test_where_wal_is_shipped_the_shipper_rests_before_anybody_waits(at: FleetSeen, run: str) -> None:
    for plan in every_plan(at, run):
        kinds = [type(step.action) for step in plan.steps]
        # Whoever ships: no other fleet has such a step, and none of its plans has changed for it.
        assert kinds.count(RestShipper) <= 1
        if RestShipper in kinds:
            assert kinds.index(RestShipper) < kinds.index(HoldGates)
            assert ClaimMove not in kinds or kinds.index(ClaimMove) < kinds.index(RestShipper)
    for declared, wanted in ((SHIPPING, True), (fleet(), False)):
        plan = switchover.plan(declared, at, switchover.SwitchoverAsk(to="beta", run=run))
        if isinstance(plan, Plan) and any(isinstance(step.action, HoldGates) for step in plan.steps):
            assert any(isinstance(step.action, RestShipper) for step in plan.steps) == wanted


@given(looks())
def test_a_promotion_is_only_asked_for_when_two_providers_agree(at: FleetSeen) -> None:
    for to in ("alpha", "beta"):
        found = promote.plan(fleet(), at, promote.PromoteAsk(site=to))
        if isinstance(found, Plan) and not found.empty and found.steps[0].id == "request":
            assert at.record is not None
            down = {
                one.site
                for one in at.sites
                if one.state is not None
                for probe in one.state.probes
                if probe.site == at.record.primary_site and probe.verdict == "down"
            }
            assert len(down - {at.record.primary_site}) >= 2
            assert any(member.startswith(to) for member in at.record.sync)


@given(
    some.integers(0, 2**23), some.integers(0, 500), some.floats(0, 1.9), some.floats(0.01, 5), some.integers(0, 10**6)
)
def test_the_digest_does_not_see_what_was_measured(
    position: int, open_writes: int, read_s: float, age_s: float, flushed: int
) -> None:
    def busy(state: AgentState) -> AgentState:
        facts = state.database
        rows = tuple(msgspec.structs.replace(row, flush_lsn=10**7) for row in facts.replicas)
        moved = msgspec.structs.replace(
            facts, position=10**7 + position, replayed=10**7, open_writes=open_writes, replicas=rows
        )
        return msgspec.structs.replace(state, database=moved, record_s_ago=read_s)

    calm = seen()
    sites = tuple(
        msgspec.structs.replace(
            one, state=busy(one.state) if one.state and one.site != "gamma" else one.state, seen_s_ago=age_s
        )
        for one in calm.sites
    )
    now = record(flushed_lsn=flushed)
    noisy = msgspec.structs.replace(calm, sites=sites, record=now)
    for first, second in zip(every_plan(calm), every_plan(noisy), strict=True):
        assert first.digest == second.digest


RUN = "r1"


def carry(world: Memory, session: Session, step: Step, lease: Lease) -> None:
    """One step the way the engine does it: look, perform, look; no journal."""
    clock = BootClock()
    handler = handlers(session)[type(step.action)]

    def context(performed: bool) -> Context:
        return Context(
            run=RUN, step=step, lease=lease, until_s=clock.boottime() + 2.0, clock=clock, performed=performed,
            undoing=False, note=lambda text: None, halting=lambda: False,
        )  # fmt: skip

    if handler.look(step.action, context(False)).see is See.DONE:
        return
    handler.perform(step.action, context(True))
    assert handler.look(step.action, context(True)).see is See.DONE, step.id


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=30)
@given(done=some.integers(0, 15), declared=some.sampled_from([fleet(), PLAIN]))
def test_planning_again_after_any_number_of_steps_arrives(done: int, declared: Fleet, tmp_path: Path) -> None:
    world = memory(tmp_path, declared=declared)
    lease = world.store.acquire(name="fleet", owner="test", ttl_s=60, deadline_s=1)
    first = switchover.plan(world.wired.fleet, look(world.wired), switchover.SwitchoverAsk(to="beta", run=RUN))
    assert isinstance(first, Plan)
    session = Session(wired=world.wired)
    for step in first.steps[:done]:
        carry(world, session, step, lease)
    # The process dies here. Another one looks, plans and goes on, knowing nothing but the run's name.
    rest = switchover.plan(world.wired.fleet, look(world.wired), switchover.SwitchoverAsk(to="beta", run=RUN))
    assert isinstance(rest, Plan), rest
    ids, remaining = [step.id for step in first.steps], [step.id for step in rest.steps]
    committed = done > ids.index("commit")
    assert set(remaining) <= set(ids)
    if not committed:
        assert set(ids[done:]) <= set(remaining), "nothing that was not done is left out"
        assert remaining == ids[len(ids) - len(remaining) :]
    else:
        assert not set(remaining) & set(ids[: ids.index("commit") + 1]), "nothing before the commit is done again"
    again = Session(wired=world.wired, resumed=True)
    for step in rest.steps:
        carry(world, again, step, lease)
    now: Record = world.record
    assert (now.primary, now.sync, now.move, now.epoch) == (BETA, (ALPHA,), None, 6)
    assert world.hosts.state("beta", deadline_s=1).database.state == "primary"
    assert all(state.gate.hold_run == "" for state in world.hosts.states.values())
