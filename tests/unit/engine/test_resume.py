"""Going on with a run that died or stopped, on a pretended world."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from failover.engine.executor import execute
from failover.engine.resume import may_undo, resume
from failover.errors import FailoverError, Resumable, Undone, UsageError
from failover.model.journal import Outcome, RunState
from failover.model.plan import Plan
from tests.fakes.engine import ME, World, plan, step, tools
from tests.fakes.journal import Kept, Killed, MemoryJournal

MOVE = plan(step("claim"), step("hold"), step("commit", commit=True), step("release"))


def died(the_plan: Plan, world: World, *, at: str, after: bool = False) -> tuple[dict[str, Kept], str]:
    """Carry out until ``at`` is performed, and die there: before its effect, or after it."""
    journal = MemoryJournal()
    claim = journal.begin(plan=the_plan, owner=ME, lease_token="1")

    def die(name: str) -> None:
        if name == at:
            if after:
                world.on.add(name)
            journal.dead = True

    world.before = die
    world.dead = lambda: journal.dead
    with pytest.raises(Killed):
        execute(the_plan, claim=claim, tools=tools(world, journal))
    world.dead, world.before = (lambda: False), (lambda name: None)
    world.calls.clear()
    return journal.kept, claim.run


def go_on(kept: dict[str, Kept], run: str, world: World, *, undo: bool = False) -> RunState:
    return resume(run, owner=ME, undo=undo, tools=tools(world, MemoryJournal(kept))).state


def test_forward_before_the_commit_step() -> None:
    world = World()
    kept, run = died(MOVE, world, at="hold")
    assert go_on(kept, run, world) is RunState.DONE
    assert [name for _, name in world.calls] == ["hold", "commit", "release"]


def test_what_took_itself_back_meanwhile_is_done_again_before_the_commit_step() -> None:
    world = World()
    kept, run = died(MOVE, world, at="commit")
    world.on.clear()  # the agents released their holds, the claim ran out
    assert go_on(kept, run, world) is RunState.DONE
    assert [name for _, name in world.calls] == ["claim", "hold", "commit", "release"]


def test_once_the_commit_step_is_seen_done_what_came_before_is_left_alone() -> None:
    world = World()
    kept, run = died(MOVE, world, at="commit", after=True)
    world.on = {"commit"}
    assert go_on(kept, run, world) is RunState.DONE
    assert [name for _, name in world.calls] == ["release"]
    assert kept[run].lines[-3].outcome is Outcome.DONE


def test_undo_before_the_commit_step() -> None:
    world = World()
    kept, run = died(MOVE, world, at="hold")
    assert may_undo(MemoryJournal(kept), run)
    with pytest.raises(Undone):
        go_on(kept, run, world, undo=True)
    assert world.on == set()
    assert kept[run].state is RunState.UNDONE


def test_no_undo_after_the_commit_intent() -> None:
    world = World()
    kept, run = died(MOVE, world, at="commit")
    assert not may_undo(MemoryJournal(kept), run)
    with pytest.raises(UsageError, match="only forward"):
        go_on(kept, run, world, undo=True)
    assert world.calls == []


def test_an_undo_once_begun_is_finished_even_when_asked_to_go_forward() -> None:
    world = World(script={"hold": ["fail"]})
    journal = MemoryJournal()
    claim = journal.begin(plan=MOVE, owner=ME, lease_token="1")
    performed: list[str] = []

    def die(name: str) -> None:
        performed.append(name)
        journal.dead = performed == ["claim", "hold", "claim"]

    world.before = die
    world.dead = lambda: journal.dead
    with pytest.raises(Killed):
        execute(MOVE, claim=claim, tools=tools(world, journal))
    world.dead, world.before = (lambda: False), (lambda name: None)
    with pytest.raises(Undone):
        go_on(journal.kept, claim.run, world)
    assert world.on == set()


def test_a_blind_commit_stops_again() -> None:
    world = World()
    kept, run = died(MOVE, world, at="commit", after=True)
    world.blind["commit"] = 10_000
    with pytest.raises(Resumable) as caught:
        go_on(kept, run, world)
    assert caught.value.hint == f"failover resume {run}"
    assert world.calls == []
    assert kept[run].state is RunState.STOPPED


def test_an_unanswered_act_is_not_sent_again_unless_it_may_be() -> None:
    world = World()
    kept, run = died(MOVE, world, at="hold")
    again = resume_with(kept, run, world, repeatable=False)
    assert isinstance(again, Undone)
    assert ("do", "hold") not in world.calls


def resume_with(kept: dict[str, Kept], run: str, world: World, *, repeatable: bool) -> FailoverError | None:
    try:
        resume(run, owner=ME, undo=False, tools=tools(world, MemoryJournal(kept), repeatable=repeatable))
    except FailoverError as error:
        return error
    return None


def test_lanes_that_failed_go_forward_again_without_a_commit_step() -> None:
    the_plan = plan(step("a", lane="a"), step("b", lane="b"))
    world = World(script={"a": ["fail"]})
    journal = MemoryJournal()
    claim = journal.begin(plan=the_plan, owner=ME, lease_token="1")
    assert execute(the_plan, claim=claim, tools=tools(world, journal)).state is RunState.STOPPED
    assert not may_undo(journal, claim.run)
    world.calls.clear()
    assert go_on(journal.kept, claim.run, world) is RunState.DONE
    assert world.calls == [("do", "a")]


@pytest.mark.parametrize("state", [RunState.DONE, RunState.UNDONE])
def test_a_run_that_is_over_is_not_resumed(state: RunState) -> None:
    journal = MemoryJournal()
    claim = journal.begin(plan=MOVE, owner=ME, lease_token="1")
    journal.end(claim, state)
    world = World()
    with pytest.raises(UsageError, match="is over"):
        go_on(journal.kept, claim.run, world)
    assert world.calls == []


def test_the_former_process_cannot_go_on_beside_the_one_that_resumed() -> None:
    world, later = World(), World()
    journal = MemoryJournal()
    claim = journal.begin(plan=MOVE, owner=ME, lease_token="1")
    taken: list[Callable[[], RunState]] = []

    def another_resumes(name: str) -> None:
        if name == "claim" and not taken:
            taken.append(lambda: go_on(journal.kept, claim.run, later))
            assert taken[0]() is RunState.DONE

    world.before = another_resumes
    with pytest.raises(FailoverError, match="taken over"):
        execute(MOVE, claim=claim, tools=tools(world, journal))
    assert "commit" not in world.on
    assert journal.kept[claim.run].state is RunState.DONE
