"""Random plans, random faults, a process that dies at any write of the journal: resume arrives, no law is broken."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover.engine.executor import execute
from failover.engine.order import all_before
from failover.engine.resume import may_undo, resume
from failover.errors import FailoverError, Resumable, Undone
from failover.model.journal import Outcome, RunState
from failover.model.plan import Plan, Step
from tests.fakes.engine import ME, World, plan, step, tools
from tests.fakes.journal import Killed, MemoryJournal

_FAULTS = ("fail", "nothing sent", "lost request", "lost reply", "ok", "ok")
_NO_DEADLINE = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.too_slow])


@dataclass(frozen=True)
class Case:
    plan: Plan
    script: dict[str, list[str]]
    crash_at: int
    stored: bool
    undo: bool
    second_crash_at: int


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = [f"s{number}" for number in range(draw(st.integers(1, 6)))]
    commit = draw(st.one_of(st.none(), st.sampled_from(names)))
    steps: list[Step] = []
    for number, name in enumerate(names):
        after = draw(st.sets(st.sampled_from(names[:number]), max_size=2)) if number else set()
        steps.append(
            step(
                name,
                lane=draw(st.sampled_from(["", "a", "b"])),
                after=tuple(sorted(after)),
                commit=name == commit,
                required=name == commit or draw(st.sampled_from([True, True, False])),
                undo=draw(st.booleans()),
                timeout_s=1.0,
            )
        )
    script = {name: draw(st.lists(st.sampled_from(_FAULTS), max_size=2)) for name in names}
    return Case(
        plan=plan(*steps),
        script=script,
        crash_at=draw(st.integers(1, 2 * len(names) + 2)),
        stored=draw(st.booleans()),
        undo=draw(st.booleans()),
        second_crash_at=draw(st.integers(1, 2 * len(names) + 2)),
    )


class Watcher:
    """Checks the laws at each act, whichever process does it."""

    def __init__(self, the_plan: Plan, journal: MemoryJournal, run: str) -> None:
        self.plan, self.journal, self.run = the_plan, journal, run
        self.broken: list[str] = []
        self._lock = threading.Lock()

    def before(self, world: World, name: str) -> None:
        with self._lock:
            kept = self.journal.kept[self.run]
            intents = [line for line in kept.lines if line.kind == "intent"]
            if not any(line.step == name for line in intents):
                self.broken.append(f"{name} performed before its intent was on disk")
            here = next(one for one in self.plan.steps if one.id == name)
            if here.commit:
                for one in self.plan.steps:
                    needed = one.id in all_before(self.plan, name) and one.required
                    if needed and one.id not in world.on:
                        self.broken.append(f"commit while {one.id}, which it needs, is not done")

    def after_run(self, world: World) -> None:
        kept = self.journal.kept[self.run]
        begun = next((line.sequence for line in kept.lines if line.kind == "intent" and self._commits(line.step)), None)
        if begun is not None and any(line.undoing and line.sequence > begun for line in kept.lines):
            self.broken.append("undone after the commit step's intent")
        for verb, name in world.calls:
            if verb == "undo" and begun is not None:
                self.broken.append(f"{name} taken back although the commit step had begun")
        assert self.broken == []

    def _commits(self, name: str) -> bool:
        return any(one.commit and one.id == name for one in self.plan.steps)


def process(journal: MemoryJournal, run: str, world: World, *, undo: bool | None) -> BaseException | None:
    """One life of the program: begins the run (``undo`` None) or resumes it. Returns how it ended."""
    world.dead = lambda: journal.dead
    the_tools = tools(world, journal)
    try:
        if undo is None:
            claim = journal.begin(plan=journal_plan(world), owner=ME, lease_token="1")
            execute(journal_plan(world), claim=claim, tools=the_tools)
        else:
            resume(run, owner=ME, undo=undo and may_undo(journal, run), tools=the_tools)
    except (FailoverError, Killed) as error:
        return error
    return None


_PLANS: dict[int, Plan] = {}


def journal_plan(world: World) -> Plan:
    return _PLANS[id(world)]


def check_end(case: Case, journal: MemoryJournal, run: str, world: World, error: BaseException | None) -> None:
    """A run that ended says the truth about the world."""
    kept = journal.kept[run]
    required = {one.id for one in case.plan.steps if one.required}
    match kept.state:
        case RunState.DONE:
            assert required <= world.on
        case RunState.UNDONE:
            assert not kept.committed
            assert isinstance(error, Undone | Killed)
            sent = {line.step for line in kept.lines if line.kind == "intent"}
            can_return = {one.id for one in case.plan.steps if one.undo is not None}
            assert not (world.on & sent & can_return)
        case RunState.STOPPED:
            commits = any(one.commit for one in case.plan.steps)
            assert isinstance(error, Resumable) or not commits
        case RunState.RUNNING:
            raise AssertionError("the run neither ended nor died")


@_NO_DEADLINE
@given(cases())
def test_killed_anywhere_then_resumed_arrives(case: Case) -> None:
    world = World(script={name: list(faults) for name, faults in case.script.items()})
    _PLANS[id(world)] = case.plan
    journal = MemoryJournal(crash_at=case.crash_at, stored=case.stored)
    run = f"20261123T003100-{case.plan.verb}-ab12"
    watcher = Watcher(case.plan, journal, run)
    world.before = lambda name: watcher.before(world, name)
    error = process(journal, run, world, undo=None)
    lives = 0
    # Each life may end by one fault of the script or one of the two crashes.
    most = sum(len(faults) for faults in case.script.values()) + 3
    crash_at: int | None = case.second_crash_at
    while journal.kept[run].state in (RunState.RUNNING, RunState.STOPPED):
        lives += 1
        assert lives <= most, "resumed again and again without arriving"
        journal = MemoryJournal(journal.kept, crash_at=crash_at, stored=not case.stored)
        crash_at = None  # the later lives live
        watcher.journal = journal
        error = process(journal, run, world, undo=case.undo)
    check_end(case, journal, run, world, error)
    watcher.after_run(world)
    del _PLANS[id(world)]


@_NO_DEADLINE
@given(cases())
def test_without_a_crash_each_run_ends_in_the_state_it_names(case: Case) -> None:
    world = World(script={name: list(faults) for name, faults in case.script.items()})
    _PLANS[id(world)] = case.plan
    journal = MemoryJournal()
    run = f"20261123T003100-{case.plan.verb}-ab12"
    watcher = Watcher(case.plan, journal, run)
    world.before = lambda name: watcher.before(world, name)
    error = process(journal, run, world, undo=None)
    check_end(case, journal, run, world, error)
    watcher.after_run(world)
    for line in journal.kept[run].lines:
        if line.kind == "result" and line.outcome is Outcome.DONE and not line.undoing:
            acts = [name for verb, name in world.calls if verb == "do" and name == line.step]
            assert len(acts) <= 3
    del _PLANS[id(world)]
