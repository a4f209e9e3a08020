"""Strikes: the points of a plan, and that each victim dies exactly at its own."""

from __future__ import annotations

import pytest

from failover.engine.strike import PHASES, StruckJournal, points
from failover.errors import UsageError
from failover.model.journal import Outcome
from failover.ports.journal import Owner
from tests.fakes.engine import plan, step
from tests.fakes.journal import MemoryJournal

ME = Owner(user="ops", host="here", pid=1, start_ticks=1)


def struck(script: str) -> tuple[list[str], list[str]]:
    """Carry two steps' lines through; the victims in order, and the lines that were there when the first died."""
    inner = MemoryJournal()
    dead: list[str] = []
    seen: list[str] = []

    def kill(victim: str) -> None:
        if not dead:
            seen.extend(f"{line.kind} {line.step}" for line in inner.lines(claim.run) if line.kind != "note")
        dead.append(victim)

    journal = StruckJournal(inner, script=script, kill=kill)
    steps = (step("hold"), step("stop"))
    claim = journal.begin(plan=plan(*steps), owner=ME, lease_token="")
    for one in steps:
        journal.intent(claim, step=one)
        journal.result(claim, step=one, outcome=Outcome.DONE, detail="", seconds=0.0)
    return dead, seen


@pytest.mark.parametrize(
    ("phase", "lines"),
    [
        ("before", ["intent hold", "result hold"]),
        ("intended", ["intent hold", "result hold", "intent stop"]),
        ("sent", ["intent hold", "result hold", "intent stop"]),
    ],
)
def test_each_phase_lies_where_it_says(phase: str, lines: list[str]) -> None:
    assert struck(f"stop/{phase}:cli") == (["cli"], lines)


def test_agents_die_before_the_command_and_nobody_twice() -> None:
    assert struck("hold/sent:cli,beta")[0] == ["beta", "cli"]
    assert struck("other/sent:cli")[0] == []


@pytest.mark.parametrize(("phase", "dies"), [("before", []), ("undo-before", ["cli"])])
def test_taking_back_has_phases_of_its_own(phase: str, dies: list[str]) -> None:
    inner, dead = MemoryJournal(), list[str]()
    journal = StruckJournal(inner, script=f"hold/{phase}:cli", kill=dead.append)
    claim = journal.begin(plan=plan(step("hold")), owner=ME, lease_token="")
    journal.intent(claim, step=step("hold"), undoing=True)
    assert dead == dies


@pytest.mark.parametrize("script", ["hold", "hold/later:cli", "hold/sent", "hold/sent:", "HOLD/sent:cli"])
def test_a_script_that_is_none_is_refused(script: str) -> None:
    with pytest.raises(UsageError, match="FAILOVER_STRIKE"):
        StruckJournal(MemoryJournal(), script=script, kill=lambda victim: None)


def test_every_step_of_a_plan_has_every_phase() -> None:
    found = points(plan(step("hold"), step("stop")))
    assert found == tuple(f"{name}/{phase}" for name in ("hold", "stop") for phase in PHASES)
