"""A record from before is followed by no agent that ever read a newer epoch, also not by one that starts anew (C8)."""

from __future__ import annotations

from pathlib import Path

import pytest

from failover.agent.view import HostView, boot_s
from failover.model.observation import DatabaseFacts
from failover.planner.floor import too_old
from failover.planner.keeper import Idle, KeeperFacts, Swap, decide
from tests.fakes.hosts import record

NOW = record(epoch=3)
BEFORE = record(epoch=2)


def agent(folder: Path) -> HostView:
    return HostView(host_dir=folder, site="alpha", provider="north")


def test_an_agent_that_starts_anew_does_not_take_a_record_from_before(tmp_path: Path) -> None:
    assert agent(tmp_path).saw_record(NOW, asked_at_s=boot_s())
    again = agent(tmp_path)
    assert not again.saw_record(BEFORE, asked_at_s=boot_s())
    assert again.record is None and again.evidence_s is None
    assert again.trouble["record"] == "the record went back from epoch 3 to 2: nothing here follows it"


def test_an_empty_store_is_no_evidence_where_there_was_a_record(tmp_path: Path) -> None:
    view = agent(tmp_path)
    assert view.saw_record(None, asked_at_s=boot_s()), "a fleet that was never deployed"
    asked = boot_s()
    assert view.saw_record(NOW, asked_at_s=asked)
    assert not view.saw_record(None, asked_at_s=boot_s())
    assert view.record == NOW and view.evidence_s == asked
    assert "no record any more" in view.trouble["record"]


def test_an_answer_that_is_only_late_is_no_trouble(tmp_path: Path) -> None:
    view = agent(tmp_path)
    asked = boot_s()
    assert view.saw_record(NOW, asked_at_s=boot_s())
    assert view.saw_record(record(epoch=2, revision=40), asked_at_s=asked)
    assert view.record == NOW and not view.trouble


def test_a_newer_epoch_is_taken_and_remembered(tmp_path: Path) -> None:
    view = agent(tmp_path)
    for epoch in (2, 3):
        assert view.saw_record(record(epoch=epoch, revision=10 + epoch), asked_at_s=boot_s())
    assert view.record is not None and view.record.epoch == 3
    assert agent(tmp_path).floor.epoch == 3


def test_where_nothing_can_be_written_it_holds_in_the_process_and_is_stored_later(tmp_path: Path) -> None:
    folder = tmp_path / "not there yet"
    view = agent(folder)
    assert view.saw_record(NOW, asked_at_s=boot_s())
    assert "cannot be stored" in view.trouble["epoch"]
    assert not view.saw_record(BEFORE, asked_at_s=boot_s())
    folder.mkdir()
    assert view.saw_record(NOW, asked_at_s=boot_s())
    assert "epoch" not in view.trouble and agent(folder).floor.epoch == 3


def test_what_a_power_cut_left_is_no_epoch(tmp_path: Path) -> None:
    (tmp_path / "epoch").write_bytes(b"")
    assert agent(tmp_path).floor.epoch == 0


@pytest.mark.parametrize(("floor", "follows"), [(0, True), (2, True), (3, False)])
def test_a_keeper_decides_nothing_on_a_record_from_before(floor: int, follows: bool) -> None:
    db = DatabaseFacts(state="stopped", member=BEFORE.primary, was_primary=True, timeline=9, position=2000)
    action = decide(KeeperFacts(site="alpha", record=BEFORE, db=db, epoch_floor=floor))
    assert isinstance(action, Swap) is follows
    assert follows or (isinstance(action, Idle) and action.trouble)
    assert bool(too_old(BEFORE, floor)) is not follows
