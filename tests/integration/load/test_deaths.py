"""The generator dies, or whoever started it does: the ledger stays readable, nothing stays behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from failover.errors import Damaged, Unreachable
from failover.load.check import compare
from failover.load.process import LoadProcess
from tests.integration.load.driving import driving, ledger_of, request
from tests.integration.load.parts import PORT, ROOT, App

HOST = "127.84.0.14"
TARGET = f"http://{HOST}:{PORT}"

PARENT = """
import pathlib, sys, time, msgspec
from failover.load.process import LoadProcess
from failover.load.request import LoadRequest
folder = pathlib.Path(sys.argv[1])
asked = msgspec.json.decode((folder / "asked.json").read_bytes(), type=LoadRequest)
load = LoadProcess(asked, folder=folder)
load.wait_ready(deadline_s=60)
load.wait_acknowledged(5, deadline_s=60)
sys.stdout.write(f"{load.pid}\\n")
sys.stdout.flush()
time.sleep(60)
"""


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    with App(tmp_path, HOST) as running:
        yield running


def gone(pid: int) -> bool:
    """Ended, reaped or not: nobody may be there to reap it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_killed_generator_leaves_a_ledger_that_proves_what_it_holds(tmp_path: Path, app: App) -> None:
    with driving(tmp_path, target=TARGET) as load:
        time.sleep(1.0)
        os.kill(load.pid, signal.SIGKILL)
        with pytest.raises(Damaged, match="did not finish in order"):
            load.stop()
        assert load.progress() is not None
    ledger = ledger_of(tmp_path)
    assert ledger.cut
    assert ledger.end is None
    rows = app.rows()
    found = compare(ledger, rows)
    assert found.lost == ()
    assert found.acknowledged >= 10
    # At most what was acknowledged since the last flush, 0.25 s before, is missing from it.
    assert len(rows) - found.acknowledged <= 60


def test_stopping_while_everything_stalls_keeps_the_budget(tmp_path: Path, app: App) -> None:
    with driving(tmp_path, target=TARGET, budget_s=1.5, attempt_s=0.5) as load:
        app.behave("stall")
        time.sleep(0.5)
        begun = time.monotonic()
        finished = load.stop()
        took_s = time.monotonic() - begun
    assert finished.reason == "stopped"
    assert finished.unfinished == 0
    assert finished.errors > 5
    assert took_s < 10, "the budget is 1.5 s, an attempt's deadline 0.5 s"
    assert not ledger_of(tmp_path).cut


def test_a_second_sigterm_drops_what_is_under_way_and_still_closes_the_ledger(tmp_path: Path, app: App) -> None:
    with driving(tmp_path, target=TARGET, budget_s=30.0, attempt_s=20.0) as load:
        app.behave("stall")
        time.sleep(0.5)
        os.kill(load.pid, signal.SIGTERM)
        time.sleep(0.2)
        os.kill(load.pid, signal.SIGTERM)
        finished = load.stop(deadline_s=20)
    ledger = ledger_of(tmp_path)
    assert finished.reason == "killed"
    assert finished.unfinished >= len(ledger.unfinished) > 5
    assert not ledger.cut


def test_dies_with_its_parent_whatever_killed_it(tmp_path: Path, app: App) -> None:
    asked = request(tmp_path, (), target=TARGET, budget_s=1.0)
    (tmp_path / "asked.json").write_bytes(msgspec.json.encode(asked))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    generator = 0
    try:
        assert parent.stdout is not None
        generator = int(parent.stdout.readline())
        assert not gone(generator)
        parent.kill()
        parent.wait()
        ends = time.monotonic() + 30
        while not gone(generator) and time.monotonic() < ends:
            time.sleep(0.05)
        assert gone(generator)
    finally:
        parent.kill()
        parent.wait()
        if generator and not gone(generator):
            os.kill(generator, signal.SIGKILL)
    ledger = ledger_of(tmp_path)
    assert not ledger.cut
    assert compare(ledger, app.rows()).lost == ()


def test_stopped_before_the_load_began_it_ends_at_once_and_says_so(tmp_path: Path) -> None:
    nobody = "http://127.84.0.15:18081"
    with LoadProcess(request(tmp_path, (), target=nobody, login_budget_s=60.0), folder=tmp_path) as load:
        with pytest.raises(Unreachable, match="not ready within 1"):
            load.wait_ready(deadline_s=1.5)
        begun = time.monotonic()
        with pytest.raises(Damaged, match=r"stopped before the load began|status -15"):
            load.stop(deadline_s=30)
        assert time.monotonic() - begun < 30, "its log-in would have gone on for 60 s"
    assert gone(load.pid)
    assert not list(tmp_path.glob("*.zst"))
