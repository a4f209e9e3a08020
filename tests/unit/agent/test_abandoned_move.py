"""A run that closed the gates and fell silent: its move is taken back, and what it sends on waking is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failover.agent.duties import Duties, Parts
from failover.agent.keeper import Keeper
from failover.agent.view import HostView, boot_s
from failover.errors import Refused
from failover.model.observation import DatabaseFacts, GateFacts
from failover.model.record import Move, Record
from failover.planner.gate import Hold, abandoned
from failover.planner.keeper import Swap, decide

A, B = "alpha_0000000a", "beta_0000000b"
MOVE = Move(run="r7", kind="switchover", source=A, target=B, budget_s=10.0)
MOVING = Record(epoch=3, revision=31, primary=A, sync=(B,), move=MOVE)
BACK = MOVING.next(move=None)


class Parted:
    """Follower, gates and database of a host whose record is ``record`` wherever it is looked at."""

    poke = asyncio.Event()

    def __init__(self, record: Record) -> None:
        self.record = record

    async def look(self) -> Record:
        return self.record

    def decide(self) -> None:
        return None

    async def deliver(self, *, wait_s: float) -> None:
        return None

    def facts(self) -> Any:
        return GateFacts(state="hold")

    async def hasten(self, seconds: float) -> None:
        return None


class Database(Parted):
    async def facts(self) -> DatabaseFacts:  # type: ignore[override]
        return DatabaseFacts(state="primary", member=A)


@pytest.fixture
def view(tmp_path: Path) -> HostView:
    made = HostView(host_dir=tmp_path, site="alpha", provider="north")
    made.saw_record(MOVING, asked_at_s=boot_s())
    return made


def held(*, silent_s: float) -> Hold:
    now = boot_s()
    return Hold(run="r7", epoch=3, until_s=now + 60.0, heard_s=now - silent_s, patience_s=1.5)


@pytest.mark.parametrize(
    ("hold", "is_so"),
    [
        (None, False),
        (Hold(run="r7", epoch=3, until_s=200.0, heard_s=99.0, patience_s=1.5), False),
        (Hold(run="r7", epoch=3, until_s=200.0, heard_s=98.0, patience_s=1.5), True),
        (Hold(run="another", epoch=3, until_s=200.0, heard_s=98.0, patience_s=1.5), False),
        (Hold(run="r7", epoch=3, until_s=200.0), False),
    ],
)
def test_a_run_is_silent_once_its_patience_is_over(hold: Hold | None, is_so: bool) -> None:
    assert abandoned(hold, "r7", now_s=100.0) is is_so


@pytest.mark.parametrize(("silent_s", "taken_back"), [(0.0, False), (2.0, True)])
def test_the_primary_takes_back_the_move_of_a_silent_run_only(
    view: HostView, silent_s: float, taken_back: bool
) -> None:
    keeper = Keeper(view, Database(MOVING), Parted(MOVING), Parted(MOVING))  # type: ignore[arg-type]
    keeper._record, view.database = MOVING, DatabaseFacts(state="primary", member=A, names=(B,))
    view.hold = held(silent_s=silent_s)
    action = decide(keeper._facts())
    assert (isinstance(action, Swap) and action.new.move is None) is taken_back, action


def test_a_run_that_speaks_again_after_its_move_left_the_record_may_claim_it_again(view: HostView) -> None:
    keeper = Keeper(view, Database(MOVING), Parted(MOVING), Parted(MOVING))  # type: ignore[arg-type]
    view.hold = held(silent_s=2.0)
    keeper._record = MOVING
    assert keeper._facts().move_age_s > MOVE.budget_s
    view.hear("r7")
    assert keeper._facts().move_age_s > MOVE.budget_s, "given up is given up"
    keeper._record = BACK
    keeper._facts()
    keeper._record = BACK.next(move=MOVE)
    assert keeper._facts().move_age_s < MOVE.budget_s


def test_a_hold_is_over_when_its_move_leaves_the_record(view: HostView) -> None:
    view.hold = view.quiesce = held(silent_s=0.0)
    view.saw_record(msgspec.structs.replace(MOVING, revision=32), asked_at_s=boot_s())
    assert view.hold is not None and view.quiesce is not None
    view.saw_record(msgspec.structs.replace(BACK, revision=33), asked_at_s=boot_s())
    assert view.hold is None and view.quiesce is None
    assert view.services_due.is_set() and not view.turned.is_set(), "services are looked at again; no part turned"


def test_another_runs_hold_stays(view: HostView) -> None:
    view.hold = msgspec.structs.replace(held(silent_s=0.0), run="r8")
    view.saw_record(BACK, asked_at_s=boot_s())
    assert view.hold is not None


@pytest.mark.parametrize("record", [BACK, MOVING])
def test_a_gate_closes_only_for_the_run_whose_move_is_in_the_record(view: HostView, record: Record) -> None:
    duties = Duties(view, version="0", processes=None, on_spec=lambda spec, body: None)  # type: ignore[arg-type]
    part: Any = Parted(record)
    duties.parts = Parts(services=part, follower=part, gates=part, keeper=part, database=Database(record))  # type: ignore[arg-type]
    view.record = BACK  # a little behind, as a view may be
    if record is BACK:
        with pytest.raises(Refused, match="no move of r7"):
            asyncio.run(duties.hold("r7", epoch=3, budget_s=5.0, wait_s=0.0))
        assert view.hold is None
    else:
        asyncio.run(duties.hold("r7", epoch=3, budget_s=5.0, wait_s=0.0))
        assert view.hold is not None and view.hold.run == "r7"
        assert 0.0 < view.hold.patience_s < 5.0
