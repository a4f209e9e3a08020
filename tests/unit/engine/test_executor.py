"""The executor on a pretended world: what is done, undone, refused, and how each run ends."""

from __future__ import annotations

import threading

import pytest

from failover.engine.executor import execute
from failover.engine.handler import RunResult, StepProgress
from failover.engine.interrupt import Interrupt
from failover.errors import Interrupted, LeaseLost, Resumable, Undone, UsageError
from failover.model.journal import Outcome, RunState
from failover.model.plan import Migrate, Plan, Step
from failover.ports.record import Lease
from tests.fakes.engine import ME, World, plan, step, tools
from tests.fakes.journal import MemoryJournal


class Ran:
    """One run carried out to its end, with everything it left behind."""

    def __init__(self, the_plan: Plan, world: World, **more: object) -> None:
        self.journal = MemoryJournal()
        self.claim = self.journal.begin(plan=the_plan, owner=ME, lease_token="")
        self.shown: list[StepProgress] = []
        self.result: RunResult | None = None
        self.error: BaseException | None = None
        try:
            self.result = execute(
                the_plan, claim=self.claim, tools=tools(world, self.journal, shown=self.shown, **more)
            )  # type: ignore[arg-type]
        except Exception as error:  # noqa: BLE001 - each test says which one it expects
            self.error = error

    @property
    def state(self) -> RunState:
        return self.journal.run(self.claim.run).state

    def kinds(self, name: str) -> list[str]:
        return [
            ("undo " if line.undoing else "") + line.kind + (f" {line.outcome}" if line.outcome else "")
            for line in self.journal.lines(self.claim.run)
            if line.step == name
        ]


class LostLease:
    """A guard that says no from its n-th check on."""

    def __init__(self, good: int) -> None:
        self.lease = Lease(name="fleet", owner="me", token="1", ttl_s=5)
        self._good = good

    def check(self) -> None:
        self._good -= 1
        if self._good < 0:
            raise LeaseLost("the lease 'fleet' was lost")


MOVE = (step("claim"), step("hold"), step("commit", commit=True), step("release"))


def test_everything_done_in_order_with_intent_before_and_result_after() -> None:
    world = World()
    ran = Ran(plan(*MOVE), world)
    assert [name for _, name in world.calls] == ["claim", "hold", "commit", "release"]
    assert ran.state is RunState.DONE
    assert ran.result is not None
    assert ran.result.committed
    assert ran.result.failures == ()
    assert ran.kinds("hold") == ["intent", "result done"]
    assert [(one.step.id, one.phase) for one in ran.shown][:2] == [("claim", "started"), ("claim", "done")]


def test_what_is_so_already_is_not_performed_and_not_taken_back() -> None:
    world = World(on={"claim"}, script={"hold": ["fail"]})
    ran = Ran(plan(*MOVE), world)
    assert ran.kinds("claim") == ["result done"]
    assert "nothing to do" in ran.journal.lines(ran.claim.run)[0].detail
    assert isinstance(ran.error, Undone)
    assert world.on == {"claim"}


def test_failure_before_the_commit_step_is_undone_newest_first() -> None:
    world = World(script={"commit": []})
    the_plan = plan(step("a"), step("b"), step("c"), step("commit", commit=True))
    world.script["c"] = ["fail"]
    ran = Ran(the_plan, world)
    assert isinstance(ran.error, Undone)
    assert ran.error.exit_status == 5
    assert "c refuses" in ran.error.message
    assert ran.state is RunState.UNDONE
    assert [call for call in world.calls if call[0] == "undo"] == [("undo", "b"), ("undo", "a")]
    assert ran.kinds("c") == ["intent", "result failed", "undo result done"]
    assert world.on == set()


def test_a_failing_undo_says_so_and_the_others_go_on() -> None:
    world = World(script={"c": ["fail"]})

    def break_b(name: str) -> None:
        if name == "c":
            world.script["b"] = ["fail"]

    world.before = break_b
    ran = Ran(plan(step("a"), step("b"), step("c"), step("commit", commit=True)), world)
    assert isinstance(ran.error, Resumable)
    assert "taking it back failed" in ran.error.message
    assert ran.error.hint == f"failover resume {ran.claim.run}"
    assert ran.state is RunState.STOPPED
    assert world.on == {"b"}


def test_after_the_commit_step_nothing_is_undone() -> None:
    world = World(script={"release": ["fail"]})
    ran = Ran(plan(*MOVE), world)
    assert isinstance(ran.error, Resumable)
    assert ran.error.exit_status == 6
    assert ran.error.hint == f"failover resume {ran.claim.run}"
    assert ran.state is RunState.STOPPED
    assert world.on == {"claim", "hold", "commit"}


def test_a_commit_that_is_refused_after_its_intent_stops_forward() -> None:
    world = World(script={"commit": ["fail"]})
    ran = Ran(plan(*MOVE), world)
    assert isinstance(ran.error, Resumable)
    assert world.on == {"claim", "hold"}
    assert ran.journal.run(ran.claim.run).committed


@pytest.mark.parametrize("fault", ["lost reply", "ok"])
def test_the_look_decides_not_the_return(fault: str) -> None:
    world = World(script={"commit": [fault], "hold": [fault]})
    ran = Ran(plan(*MOVE), world)
    assert ran.error is None
    assert ran.state is RunState.DONE
    assert [name for _, name in world.calls].count("commit") == 1


def test_a_lost_request_is_sent_again_only_by_a_repeatable_handler() -> None:
    again = World(script={"hold": ["lost request"]})
    assert Ran(plan(*MOVE), again).state is RunState.DONE
    assert [name for _, name in again.calls].count("hold") == 2

    once = World(script={"hold": ["lost request"]})
    ran = Ran(plan(*MOVE), once, repeatable=False)
    assert [call for call in once.calls if call == ("do", "hold")] == [("do", "hold")]
    assert ran.kinds("hold")[:2] == ["intent", "result unknown"]
    assert isinstance(ran.error, Undone)


def test_a_blind_commit_is_not_repeated_and_not_undone() -> None:
    world = World(script={"commit": ["lost reply"]})
    world.before = lambda name: world.blind.update({"commit": 10_000}) if name == "commit" else None
    ran = Ran(plan(*MOVE), world)
    assert isinstance(ran.error, Resumable)
    assert ran.kinds("commit") == ["intent", "result unknown"]
    assert [name for _, name in world.calls].count("commit") == 1
    assert "release" not in world.on


def test_nothing_is_performed_while_the_look_is_blind() -> None:
    world = World(blind={"hold": 10_000})
    ran = Ran(plan(*MOVE), world)
    assert ("do", "hold") not in world.calls
    assert ran.kinds("hold") == ["result failed"] or ran.kinds("hold") == ["result unknown"]
    assert isinstance(ran.error, Undone)


def test_no_connection_is_tried_again_until_the_time_is_over() -> None:
    world = World(script={"hold": ["nothing sent"] * 3})
    assert Ran(plan(*MOVE), world).state is RunState.DONE
    stubborn = World(script={"hold": ["nothing sent"] * 10_000})
    ran = Ran(plan(*MOVE), stubborn)
    assert isinstance(ran.error, Undone)
    assert 5 < [name for _, name in stubborn.calls].count("hold") < 100


def test_performed_but_never_seen_fails() -> None:
    world = World(script={"hold": ["ignored"]})
    ran = Ran(plan(*MOVE), world)
    assert isinstance(ran.error, Undone)
    assert "not so within 5 s" in ran.error.message


def test_one_lane_fails_the_others_finish_when_there_is_no_commit_step() -> None:
    world = World(script={"a1": ["fail"]})
    the_plan = plan(
        step("a1", lane="a"),
        step("a2", lane="a"),
        step("b1", lane="b"),
        step("b2", lane="b"),
        step("both", lane="end", after=("a2", "b2")),
        step("only-b", lane="more", after=("b2",)),
    )
    ran = Ran(the_plan, world)
    assert ran.error is None
    assert ran.result is not None
    assert world.on == {"b1", "b2", "only-b"}
    assert ran.state is RunState.STOPPED
    assert [(one.step.id, one.outcome) for one in ran.result.failures] == [
        ("a1", Outcome.FAILED),
        ("a2", None),
        ("both", None),
    ]
    assert ("a2", "not tried") in [(one.step.id, one.phase) for one in ran.shown]


def test_a_step_that_is_not_required_does_not_stop_its_lane() -> None:
    world = World(script={"hold": ["fail"]})
    ran = Ran(plan(step("claim"), step("hold", required=False), step("commit", commit=True)), world)
    assert ran.state is RunState.DONE
    assert ran.result is not None
    assert [one.step.id for one in ran.result.failures] == ["hold"]


def test_lanes_run_side_by_side() -> None:
    meet = threading.Barrier(2, timeout=10)
    world = World(before=lambda name: meet.wait() and None)
    ran = Ran(plan(step("a", lane="a"), step("b", lane="b")), world)
    assert ran.state is RunState.DONE


def test_a_lane_that_fails_keeps_the_commit_step_from_beginning() -> None:
    commit_may_look = threading.Event()
    world = World(script={"b": ["fail"]})
    world.before = lambda name: None if name == "b" else commit_may_look.wait(0.2) and None
    ran = Ran(plan(step("b", lane="b"), step("a1"), step("a2"), step("commit", commit=True)), world)
    assert isinstance(ran.error, Undone)
    assert "commit" not in world.on
    assert world.on == set()


def test_lost_lease_before_the_commit_step_is_undone_and_named() -> None:
    world = World()
    ran = Ran(plan(*MOVE), world, guard=LostLease(good=2))
    assert isinstance(ran.error, LeaseLost)
    assert ran.error.exit_status == 7
    assert ran.state is RunState.UNDONE
    assert not ran.journal.run(ran.claim.run).committed
    assert world.on == set()


def test_a_lease_lost_after_the_commit_step_does_not_keep_the_gates_closed() -> None:
    world = World()
    ran = Ran(plan(*MOVE), world, guard=LostLease(good=3))
    assert ran.state is RunState.DONE
    assert "release" in world.on


def test_lost_lease_stops_a_plan_without_commit_step() -> None:
    world = World()
    ran = Ran(plan(step("a"), step("b"), step("c")), world, guard=LostLease(good=1))
    assert isinstance(ran.error, LeaseLost)
    assert world.on == {"a"}
    assert ran.state is RunState.STOPPED


@pytest.mark.parametrize(
    ("at", "state", "on"),
    [
        ("hold", RunState.UNDONE, set()),
        ("commit", RunState.DONE, {"claim", "hold", "commit", "release"}),
        ("release", RunState.DONE, {"claim", "hold", "commit", "release"}),
    ],
)
def test_an_interrupt_is_undone_before_and_finished_after_the_commit_step(
    at: str, state: RunState, on: set[str]
) -> None:
    interrupt = Interrupt()
    world = World(before=lambda name: interrupt.ask() if name == at else None)
    ran = Ran(plan(*MOVE), world, interrupt=interrupt)
    assert isinstance(ran.error, Interrupted)
    assert ran.error.exit_status == 130
    assert ran.error.hint
    assert ran.state is state
    assert world.on == on


def test_two_interrupts_after_the_commit_step_stop_for_a_resume() -> None:
    interrupt = Interrupt()

    def twice(name: str) -> None:
        if name == "commit":
            interrupt.ask()
            interrupt.ask()

    world = World(before=twice)
    ran = Ran(plan(*MOVE), world, interrupt=interrupt)
    assert isinstance(ran.error, Resumable)
    assert ran.state is RunState.STOPPED
    assert "release" not in world.on


def test_an_interrupted_plan_without_commit_step_rests() -> None:
    interrupt = Interrupt()
    world = World(before=lambda name: interrupt.ask())
    ran = Ran(plan(step("a"), step("b")), world, interrupt=interrupt)
    assert isinstance(ran.error, Interrupted)
    assert ran.error.hint == f"failover resume {ran.claim.run}"
    assert world.on == {"a"}
    assert ran.state is RunState.STOPPED


@pytest.mark.parametrize(("at", "state"), [("hold", RunState.UNDONE), ("release", RunState.STOPPED)])
def test_a_bug_in_a_handler_is_raised_after_the_run_came_to_rest(at: str, state: RunState) -> None:
    world = World(script={at: ["bug"]}, blind={})
    ran = Ran(plan(*MOVE), world, repeatable=False)
    assert isinstance(ran.error, KeyError)
    assert ran.claim.run in "".join(ran.error.__notes__)
    assert ran.state is state


def test_a_broken_screen_does_not_stop_a_move() -> None:
    journal, world = MemoryJournal(), World()
    the_plan = plan(*MOVE)
    claim = journal.begin(plan=the_plan, owner=ME, lease_token="")

    class Screen(list[StepProgress]):
        def append(self, told: StepProgress) -> None:
            raise BrokenPipeError

    result = execute(the_plan, claim=claim, tools=tools(world, journal, shown=Screen()))
    assert result.state is RunState.DONE
    notes = [line.detail for line in journal.lines(claim.run) if line.kind == "note"]
    assert notes == ["progress cannot be shown any more: BrokenPipeError()"]


def test_an_empty_plan_is_done() -> None:
    assert Ran(plan(), World()).state is RunState.DONE


@pytest.mark.parametrize(
    "steps",
    [
        (step("a"), step("a")),
        (step("a", after=("b",)), step("b")),
        (step("a", commit=True), step("b", commit=True)),
        (step("a", commit=True, required=False),),
        (Step(id="m", title="m", action=Migrate(site="x"), why="no handler"),),
    ],
)
def test_a_plan_that_cannot_be_carried_out_is_refused_before_anything(steps: tuple[Step, ...]) -> None:
    world = World()
    ran = Ran(plan(*steps), world)
    assert isinstance(ran.error, UsageError)
    assert world.calls == []
    assert ran.state is RunState.UNDONE
