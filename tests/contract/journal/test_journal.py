"""The journal's contract, on the fake and on the real file; then what only a file can suffer."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from failover.adapters.journal_sqlite import SqliteJournal
from failover.engine.resume import resume
from failover.errors import Damaged, LeaseLost, UsageError
from failover.model.journal import Outcome, RunState
from failover.ports.journal import Journal, Owner
from tests.fakes.engine import ME, World, plan, step, tools
from tests.fakes.journal import MemoryJournal

PLAN = plan(step("claim"), step("commit", commit=True), step("release"))
CLAIM, COMMIT, RELEASE = PLAN.steps


@pytest.fixture(params=["memory", "sqlite"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Journal]]:
    """Opens the same journal again and again."""
    one = MemoryJournal()
    opened: list[SqliteJournal] = []

    def open_it() -> Journal:
        if request.param == "memory":
            return one
        opened.append(SqliteJournal(path=tmp_path / "journal.db"))
        return opened[-1]

    yield open_it
    for journal in opened:
        journal.close()


def test_a_run_is_read_back_whole(make: Callable[[], Journal]) -> None:
    journal = make()
    claim = journal.begin(plan=PLAN, owner=ME, lease_token="7:2")
    journal.intent(claim, step=CLAIM)
    journal.result(claim, step=CLAIM, outcome=Outcome.DONE, detail="claimed", seconds=0.25)
    journal.note(claim, text="by hand")
    assert not journal.run(claim.run).committed
    journal.intent(claim, step=COMMIT)
    assert journal.run(claim.run).committed
    again = make()
    assert again.plan(claim.run) == PLAN
    assert again.owner(claim.run) == ME
    assert [(line.sequence, line.kind, line.step, line.outcome) for line in again.lines(claim.run)] == [
        (1, "intent", "claim", None),
        (2, "result", "claim", Outcome.DONE),
        (3, "note", "", None),
        (4, "intent", "commit", None),
    ]
    view = again.run(claim.run)
    assert (view.state, view.verb, view.digest, view.summary) == (RunState.RUNNING, "switchover", PLAN.digest, "test")
    assert view.ended_at == ""
    assert view.owner == "ops@here pid 1"


def test_an_undone_commit_intent_is_no_commit(make: Callable[[], Journal]) -> None:
    journal = make()
    claim = journal.begin(plan=PLAN, owner=ME, lease_token="")
    journal.intent(claim, step=COMMIT, undoing=True)
    assert not journal.run(claim.run).committed
    assert journal.lines(claim.run)[0].undoing


def test_runs_are_listed_newest_first_and_ended(make: Callable[[], Journal]) -> None:
    journal = make()
    claims = [journal.begin(plan=PLAN, owner=ME, lease_token="") for _ in range(3)]
    journal.end(claims[0], RunState.UNDONE)
    assert [view.run for view in make().runs()] == [claim.run for claim in reversed(claims)]
    assert [view.state for view in make().runs()] == [RunState.RUNNING, RunState.RUNNING, RunState.UNDONE]
    assert journal.run(claims[0].run).ended_at


def test_a_run_taken_over_refuses_its_former_writer(make: Callable[[], Journal]) -> None:
    journal = make()
    old = journal.begin(plan=PLAN, owner=ME, lease_token="1")
    other = Owner(user="ops", host="there", pid=2, start_ticks=9)
    new = make().take_over(old.run, owner=other, lease_token="2")
    with pytest.raises(LeaseLost, match="ops@there"):
        journal.intent(old, step=CLAIM)
    with pytest.raises(LeaseLost):
        journal.end(old, RunState.DONE)
    journal.intent(new, step=CLAIM)
    assert len(journal.lines(old.run)) == 1
    assert journal.owner(old.run) == other


def test_an_unknown_run_is_a_usage_error(make: Callable[[], Journal]) -> None:
    journal = make()
    for call in (journal.run, journal.plan, journal.lines, journal.owner):
        with pytest.raises(UsageError):
            call("20261123T003105-switchover-0000")


def test_export_gives_one_object_a_line(make: Callable[[], Journal], tmp_path: Path) -> None:
    journal = make()
    claim = journal.begin(plan=PLAN, owner=ME, lease_token="")
    journal.intent(claim, step=CLAIM)
    other = journal.begin(plan=PLAN, owner=ME, lease_token="")
    journal.export_jsonl(tmp_path / "all.jsonl")
    everything = [json.loads(row) for row in (tmp_path / "all.jsonl").read_text("utf-8").splitlines()]
    assert [row["run"] for row in everything] == [claim.run, claim.run, other.run]
    journal.export_jsonl(tmp_path / "journal.jsonl", run=claim.run)
    rows = [json.loads(row) for row in (tmp_path / "journal.jsonl").read_text("utf-8").splitlines()]
    assert rows[0]["run"] == claim.run
    assert rows[0]["state"] == "running"
    assert (rows[1]["kind"], rows[1]["step"]) == ("intent", "claim")


def test_many_threads_write_one_sequence(make: Callable[[], Journal]) -> None:
    journal = make()
    claim = journal.begin(plan=PLAN, owner=ME, lease_token="")
    threads = [threading.Thread(target=lambda: [journal.note(claim, text="x") for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [line.sequence for line in journal.lines(claim.run)] == list(range(1, 41))


def test_run_ids_sort_by_time_and_the_file_is_private(tmp_path: Path) -> None:
    moment = datetime(2026, 11, 23, 0, 31, 5, tzinfo=UTC)
    times = iter([moment + timedelta(seconds=number) for number in range(3) for _ in range(1)])
    journal = SqliteJournal(path=tmp_path / "j.db", now=lambda: next(times), suffix=lambda: "ab12")
    runs = [journal.begin(plan=PLAN, owner=ME, lease_token="").run for _ in range(3)]
    journal.close()
    assert runs[0] == "20261123T003105-switchover-ab12"
    assert runs == sorted(runs)
    assert stat.S_IMODE((tmp_path / "j.db").stat().st_mode) == 0o600


def test_every_write_survives_the_loss_of_the_machine(tmp_path: Path) -> None:
    journal = SqliteJournal(path=tmp_path / "j.db")
    assert journal._connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert journal._connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
    journal.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM line WHERE sequence = 1",
        "DELETE FROM line WHERE sequence = 2",
        "UPDATE line SET value = replace(CAST(value AS TEXT), 'held', 'gone') WHERE sequence = 2",
        "UPDATE line SET value = CAST(replace(CAST(value AS TEXT), 'held', 'gone') AS BLOB) WHERE sequence = 2",
        "UPDATE line SET value = X'7B' WHERE sequence = 3",
        "UPDATE run SET plan = CAST(replace(CAST(plan AS TEXT), 'Set claim', 'Set another') AS BLOB)",
        "UPDATE run SET plan = X'00'",
    ],
)
def test_a_line_or_plan_lost_or_altered_is_damaged(tmp_path: Path, statement: str) -> None:
    journal = SqliteJournal(path=tmp_path / "j.db")
    claim = journal.begin(plan=PLAN, owner=ME, lease_token="")
    journal.intent(claim, step=CLAIM)
    journal.result(claim, step=CLAIM, outcome=Outcome.DONE, detail="held", seconds=0.1)
    journal.intent(claim, step=COMMIT)
    try:
        journal._connection.execute(statement)
    except sqlite3.IntegrityError:
        return  # a strict table refuses it by itself
    with pytest.raises(Damaged) as caught:
        journal.lines(claim.run)
    assert caught.value.exit_status == 9
    assert caught.value.hint
    journal.close()


def test_a_step_that_the_plan_does_not_have_is_damaged(tmp_path: Path) -> None:
    journal = SqliteJournal(path=tmp_path / "j.db")
    claim = journal.begin(plan=PLAN, owner=ME, lease_token="")
    journal.intent(claim, step=step("stranger"))
    with pytest.raises(Damaged, match="stranger"):
        resume(claim.run, owner=ME, undo=True, tools=tools(World(), journal))
    journal.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, None])
def test_a_damaged_file_is_damaged_with_a_hint(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "j.db"
    journal = SqliteJournal(path=path)
    claim = journal.begin(plan=PLAN, owner=ME, lease_token="")
    for _ in range(200):
        journal.note(claim, text="x" * 200)
    journal.close()
    whole = path.read_bytes()
    path.write_bytes(content if content is not None else whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(Damaged) as caught:
        SqliteJournal(path=path).lines(claim.run)
    assert "move it aside" in caught.value.hint


KILLED = """
import os, sys
from pathlib import Path
from failover.adapters.journal_sqlite import SqliteJournal
from failover.engine.executor import execute
from tests.fakes.engine import ME, World, plan, step, tools

folder, name = Path(sys.argv[1]), sys.argv[2]
the_plan = plan(step("claim"), step("hold"), step("commit", commit=True), step("release"))
journal = SqliteJournal(path=folder / "journal.db")
claim = journal.begin(plan=the_plan, owner=ME, lease_token="")
(folder / "run").write_text(claim.run)

def die(switch):
    if switch == name:
        os.kill(os.getpid(), 9)

execute(the_plan, claim=claim, tools=tools(World(before=die), journal))
"""


@pytest.mark.parametrize(("at", "undo"), [("hold", True), ("hold", False), ("commit", False), ("release", False)])
def test_a_process_killed_between_intent_and_result_is_resumed(tmp_path: Path, at: str, undo: bool) -> None:
    root = Path(__file__).parents[3]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), at],
        env={**os.environ, "PYTHONPATH": str(root)},
        cwd=root,
        timeout=60,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    run = (tmp_path / "run").read_text("ascii")
    before = {"hold": {"claim"}, "commit": {"claim", "hold"}, "release": {"claim", "hold", "commit"}}[at]
    journal = SqliteJournal(path=tmp_path / "journal.db")
    last = journal.lines(run)[-1]
    assert (last.kind, last.step) == ("intent", at)
    assert journal.run(run).committed is (at != "hold")
    world = World(on=set(before))
    if undo:
        with pytest.raises(Exception, match="taken back"):
            resume(run, owner=ME, undo=True, tools=tools(world, journal))
        assert world.on == set()
        assert journal.run(run).state is RunState.UNDONE
    else:
        result = resume(run, owner=ME, undo=False, tools=tools(world, journal))
        assert result.state is RunState.DONE
        assert world.on == {"claim", "hold", "commit", "release"}
        assert len(world.calls) == 4 - len(before)
    journal.close()
