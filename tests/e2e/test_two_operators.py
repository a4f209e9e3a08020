"""Two operators at two machines: one falls asleep in the middle of a move, the other takes over, the first wakes up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from failover.errors import FailoverError
from failover.model.record import Record
from tests.e2e.crash_points import settled
from tests.e2e.crash_stories import other
from tests.e2e.harness import LocalFleet
from tests.e2e.load import wired_of

pytestmark = pytest.mark.e2e


class SecondMachine(LocalFleet):
    """The fleet file and its trust, as README tells to keep at a second place; a state folder of its own."""

    def __init__(self, folder: Path, first: LocalFleet) -> None:
        super().__init__(folder, block=first.block)
        shutil.copytree(first.state / "trust", self.state / "trust")
        for name in ("fleet.yaml", "workload.yaml"):
            shutil.copy(first.folder / name, folder / name)


def asleep(process: subprocess.Popen[str], *, deadline_s: float = 60.0) -> None:
    end = time.monotonic() + deadline_s
    while Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "T":
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "the command did not reach its commit step"
        time.sleep(0.02)


@pytest.mark.timeout(300)
def test_a_woken_run_is_refused_by_the_record_and_by_the_agents(
    protected: LocalFleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = SecondMachine(tmp_path, protected)
    wired = wired_of(second)
    try:
        before = settled(wired).record
        assert before is not None
        to = other(before.primary_site)
        with monkeypatch.context() as struck:
            struck.setenv("FAILOVER_STRIKE", "commit/intended:pause")
            first = protected.start("switchover", "--to", to, "--yes")
        asleep(first)
        held = second.run("switchover", "--to", to, "--yes", status=7)
        assert f"pid {first.pid}, switchover since 20" in held.err, held.err

        # Nobody renews the lease; the keepers take the move away and open the old primary again.
        took = second.run("switchover", "--to", to, "--yes", status=None)
        end = time.monotonic() + 90
        while took.status in (3, 7):
            assert time.monotonic() < end, took.err
            time.sleep(1.0)
            took = second.run("switchover", "--to", to, "--yes", status=None)
        assert took.status == 0, took.err
        assert f"took over the lease of root@{os.uname().nodename} pid {first.pid}" in took.out + took.err
        moved = settled(wired).record
        assert moved is not None and (moved.primary_site, moved.epoch) == (to, before.epoch + 1)

        os.kill(first.pid, signal.SIGCONT)
        _, said = first.communicate(timeout=120)
        assert first.returncode == 6, said
        assert "lease" in said
        now = settled(wired).record
        assert now is not None and (now.primary, now.epoch) == (moved.primary, moved.epoch)
        refused_by_agents(wired_run(protected), second, now)
    finally:
        wired.close()


def wired_run(fleet: LocalFleet) -> str:
    """The sleeper's run."""
    wired = wired_of(fleet)
    try:
        return wired.journal.runs()[0].run
    finally:
        wired.close()


def refused_by_agents(run: str, fleet: LocalFleet, record: Record) -> None:
    """What the sleeper would still have sent: none of it is done."""
    wired = wired_of(fleet)
    hosts, site = wired.hosts, record.primary_site
    try:
        with pytest.raises(FailoverError, match="carries no move of"):
            hosts.stop_primary(site, run=run, budget_s=1.0, deadline_s=10.0)
        with pytest.raises(FailoverError, match=f"knows epoch {record.epoch}, not {record.epoch - 1}"):
            hosts.hold(site, run=run, epoch=record.epoch - 1, budget_s=5.0, deadline_s=10.0)
        with pytest.raises(FailoverError, match="does not hold the gates"):
            hosts.terminate_writers(site, run=run, deadline_s=10.0)
        assert hosts.state(site, deadline_s=10.0).gate.state == "open"
    finally:
        wired.close()
