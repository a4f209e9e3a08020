"""The one path of every change, over agents and a record in memory: done, undone, refused, not approved, held."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from failover.engine.interrupt import Interrupt
from failover.errors import LeaseHeld, LeaseLost, Refused, Resumable, Undone, Unreachable
from failover.model.journal import RunState
from failover.model.plan import Plan, Refusal
from failover.model.run_report import Progress, RunReport
from failover.operations.carry_out import Answer, Approval, Nothing, carry_out, propose
from failover.operations.resume import resume
from failover.operations.verbs import DeployWish, FailbackWish, NamesWish, PromoteWish, SwitchoverWish, Wish
from failover.operations.watch import Watch
from tests.fakes.hosts import ALPHA, BETA, record, swap
from tests.fakes.wired import Memory, memory

YES = Approval(yes=True)


@pytest.fixture
def world(tmp_path: Path) -> Memory:
    return memory(tmp_path)


def run(world: Memory, wish: Wish, approval: Approval = YES) -> Answer:
    return carry_out(world.wired, wish, approval=approval, watch=world.watch(), interrupt=Interrupt())


def test_a_switchover_moves_the_record_the_gates_and_the_names(world: Memory) -> None:
    done = run(world, SwitchoverWish("beta"))
    assert isinstance(done, RunReport)
    assert done.missed == ()
    now = world.record
    assert (now.epoch, now.primary, now.sync, now.move) == (6, BETA, (ALPHA,), None)
    assert now.timelines[-1].tli == 2, "a keeper that finds this knows that it must promote, not restart"
    assert now.flushed_lsn == now.timelines[-1].fork_lsn == 1120
    order = [call for call in world.hosts.calls if call[0] in ("hold", "stop_primary", "release")]
    assert {call[0] for call in order[:2]} == {"hold"}
    assert order[2] == ("stop_primary", "alpha")
    assert {call[0] for call in order[3:]} == {"release"}
    assert all(state.gate.hold_run == "" for state in world.hosts.states.values())
    assert world.names.served_at["alpha"]["primary.www.social.test"] == ("127.220.0.1",)
    assert world.journal.runs()[0].state is RunState.DONE


def test_inside_the_pause_each_step_is_one_call(world: Memory) -> None:
    asked: list[str] = []
    state, answer = type(world.hosts).state, world.hosts.state

    def counted(site: str, *, deadline_s: float) -> object:
        asked.append(site)
        return answer(site, deadline_s=deadline_s)

    assert callable(state)
    world.hosts.state = counted  # type: ignore[method-assign,assignment]
    before = len(asked)
    run(world, SwitchoverWish("beta"))
    told = [one for one in world.told if one.step in ("hold", "drain", "stop", "receive", "commit")]
    assert len(told) == 10
    # Three for the look before, three after, one to see the drain, one to see the promotion, one for protection.
    assert len(asked) - before <= 9


def test_a_primary_that_does_not_stop_is_left_as_it_was(world: Memory) -> None:
    world.hosts.stuck_stop = True
    with pytest.raises(Undone, match="did not stop"):
        run(world, SwitchoverWish("beta"))
    now = world.record
    assert (now.epoch, now.primary, now.move) == (5, ALPHA, None)
    assert world.hosts.state("alpha", deadline_s=1).database.state == "primary"
    assert all(state.gate.hold_run == "" for state in world.hosts.states.values())
    assert world.journal.runs()[0].state is RunState.UNDONE


def test_a_standby_that_never_gets_the_last_bytes_starts_the_primary_again(world: Memory) -> None:
    world.hosts.stuck_receive = True
    with pytest.raises(Undone, match="beta has"):
        run(world, SwitchoverWish("beta"))
    assert world.record.primary == ALPHA
    assert world.hosts.state("alpha", deadline_s=1).database.state == "primary"


def test_leftover_writers_are_ended_and_noted(world: Memory) -> None:
    world.hosts.ended = ("pid 12: UPDATE posts",)
    database = msgspec.structs.replace(world.hosts.states["alpha"].database, open_writes=2)
    world.hosts.states["alpha"] = msgspec.structs.replace(world.hosts.states["alpha"], database=database)
    done = run(world, SwitchoverWish("beta"))
    assert isinstance(done, RunReport)
    assert ("terminate_writers", "alpha") in world.hosts.calls
    assert any("UPDATE posts" in line.detail for line in world.journal.lines(done.run))


def test_a_dead_dns_provider_is_reported_and_stops_nothing(world: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("failover.planner.dns_steps.DNS_TIMEOUT_S", 0.2)
    world.names.dead.add("alpha")
    done = run(world, SwitchoverWish("beta"))
    assert isinstance(done, RunReport)
    assert world.record.primary == BETA
    assert [one for one in done.missed if "alpha's DNS" in one]


def test_a_switchover_to_the_primary_says_so(world: Memory) -> None:
    assert run(world, SwitchoverWish("alpha")) == Nothing(verb="switchover", summary="alpha is primary already")
    assert isinstance(run(world, FailbackWish()), Nothing)
    assert world.journal.runs() == ()


def test_a_refusal_is_an_answer_and_touches_nothing(world: Memory) -> None:
    world.hosts.silent.add("beta")
    answer = run(world, SwitchoverWish("beta"))
    assert isinstance(answer, Refusal)
    assert world.hosts.calls == []
    assert world.journal.runs() == ()


def test_only_the_approved_plan_is_carried_out(world: Memory) -> None:
    proposal = propose(world.wired, SwitchoverWish("beta"))
    assert isinstance(proposal, Plan)
    with pytest.raises(Refused, match="000000000000"):
        run(world, SwitchoverWish("beta"), Approval(digest="000000000000"))
    with pytest.raises(Refused, match="not approved"):
        run(world, SwitchoverWish("beta"), Approval())
    with pytest.raises(Refused, match="not approved"):
        run(world, SwitchoverWish("beta"), Approval(ask=lambda plan: False))
    assert world.hosts.calls == []
    assert isinstance(run(world, SwitchoverWish("beta"), Approval(digest=proposal.digest)), RunReport)


def test_a_second_operator_is_told_who_and_since_when(world: Memory, tmp_path: Path) -> None:
    def second(plan: Plan) -> bool:
        with pytest.raises(LeaseHeld, match=r"another run holds the lease: .* since 20"):
            run(world, SwitchoverWish("beta"))
        return False

    with pytest.raises(Refused):
        run(world, SwitchoverWish("beta"), Approval(ask=second))


def test_a_lease_of_another_machine_counts_too(world: Memory) -> None:
    world.store.acquire(name="fleet", owner="eve@elsewhere pid 9", ttl_s=60, deadline_s=1)
    with pytest.raises(LeaseHeld, match="eve@elsewhere"):
        run(world, SwitchoverWish("beta"))


def test_without_a_majority_of_voters_nothing_moves(world: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**_: object) -> object:
        raise Unreachable("no majority")

    monkeypatch.setattr(world.store, "acquire", unreachable)
    with pytest.raises(Unreachable):
        run(world, PromoteWish("beta"))


def test_what_stops_after_the_commit_is_resumed_forward(world: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    keep = world.hosts._keep
    monkeypatch.setattr(world.hosts, "_keep", lambda: None)
    monkeypatch.setattr("failover.operations.handlers_database._POLL_S", 0.001)
    short = msgspec.structs.replace
    from failover.operations import carry_out as module

    decide = module.decide

    def hurried(*words: object) -> object:
        plan = decide(*words)  # type: ignore[arg-type]
        assert isinstance(plan, Plan)
        steps = tuple(short(step, timeout_s=0.2) if step.id == "primary" else step for step in plan.steps)
        return short(plan, steps=steps)

    monkeypatch.setattr(module, "decide", hurried)
    with pytest.raises(Resumable, match="after the commit step"):
        run(world, SwitchoverWish("beta"))
    assert world.record.primary == BETA
    monkeypatch.setattr(world.hosts, "_keep", keep)
    stopped = world.journal.runs()[0]
    assert (stopped.state, stopped.committed) == (RunState.STOPPED, True)
    done = resume(world.wired, stopped.run, undo=False, watch=world.watch(), interrupt=Interrupt())
    assert done.missed == ()
    assert world.journal.runs()[0].state is RunState.DONE
    assert [call[0] for call in world.hosts.calls].count("stop_primary") == 1, "never stopped a second time"


def test_names_alone(world: Memory) -> None:
    world.names.served_at["beta"].clear()
    done = run(world, NamesWish())
    assert isinstance(done, RunReport)
    assert done.missed == ()
    assert world.names.served_at["beta"]["www.social.test"] == ("127.210.0.1", "127.220.0.1")


def test_failback_after_a_switchover(world: Memory) -> None:
    run(world, SwitchoverWish("beta"))
    done = run(world, FailbackWish())
    assert isinstance(done, RunReport)
    assert (world.record.epoch, world.record.primary) == (7, ALPHA)
    assert record().primary == ALPHA


def test_a_dead_runs_lease_is_given_back_by_the_next_that_has_its_lock(world: Memory) -> None:
    left = world.store.acquire(name="fleet", owner="ops@here pid 9, switchover", ttl_s=60, deadline_s=1)
    lock = world.wired.state_dir / "run.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    note = {"owner": left.owner, "since": "2026-11-25T19:00:00Z", "lease": msgspec.to_builtins(left)}
    lock.write_bytes(msgspec.json.encode(note))
    assert isinstance(run(world, SwitchoverWish("beta")), RunReport)
    with pytest.raises(LeaseLost):
        world.store.renew(left, deadline_s=1)
    noted = [line.detail for line in world.journal.lines(world.journal.runs()[0].run) if line.kind == "note"]
    assert noted[0].startswith("took over the lease of ops@here pid 9, switchover, held since 2026-")


def test_a_lease_that_ran_out_is_taken_over_and_that_is_told(world: Memory) -> None:
    world.store.acquire(name="fleet", owner="eve@elsewhere pid 9", ttl_s=15, deadline_s=1)
    world.store.shared.now_s += 16
    told: list[Progress] = []
    done = carry_out(
        world.wired, SwitchoverWish("beta"), approval=YES, watch=Watch(told.append), interrupt=Interrupt()
    )
    assert isinstance(done, RunReport)
    assert "took over the lease of eve@elsewhere pid 9, held since 2026-" in told[0].title
    run(world, SwitchoverWish("alpha"))
    notes = [line.detail for line in world.journal.lines(world.journal.runs()[0].run) if line.kind == "note"]
    assert not [text for text in notes if "took over" in text], "ours was given back"


def test_a_lease_noted_by_a_dead_run_is_not_anothers(world: Memory) -> None:
    noted = world.store.acquire(name="fleet", owner="ops@here pid 9, switchover", ttl_s=60, deadline_s=1)
    lock = world.wired.state_dir / "run.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.write_bytes(msgspec.json.encode({"owner": noted.owner, "since": "", "lease": msgspec.to_builtins(noted)}))
    world.store.release(noted, deadline_s=1)
    world.store.acquire(name="fleet", owner="eve@elsewhere pid 9", ttl_s=60, deadline_s=1)
    with pytest.raises(LeaseHeld, match="eve@elsewhere"):
        run(world, SwitchoverWish("beta"))


def test_a_deploy_that_a_promotion_overtakes_makes_the_names_right_as_well(
    world: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate = world.hosts.migrate

    def overtaken(site: str, *, deadline_s: float) -> str:
        if world.record.primary == ALPHA:
            lease = world.store.acquire(name="keeper-beta", owner="test", ttl_s=60, deadline_s=1)
            swap(world.store, lease, world.record, epoch=6, primary=BETA, sync=(ALPHA,))
            world.store.release(lease, deadline_s=1)
        return migrate(site, deadline_s=deadline_s)

    monkeypatch.setattr(world.hosts, "migrate", overtaken)
    done = run(world, DeployWish())
    assert isinstance(done, RunReport)
    assert done.missed == ()
    assert world.names.served_at["alpha"]["primary.www.social.test"] == ("127.220.0.1",)
    assert len(world.journal.runs()) == 2
    assert "beta took over meanwhile; now what that leaves to do" in [one.title for one in world.told]
