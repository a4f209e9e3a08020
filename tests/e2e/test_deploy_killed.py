"""SIGKILL of a deploy at random instants: the next one arrives, nothing twice, no orphan."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.harness import SITES, LocalFleet

pytestmark = pytest.mark.e2e


def kill_in_the_middle(fleet: LocalFleet, *, after_s: float) -> None:
    """Start a deploy and kill the command's whole session after a while; the engine and hosts have their own."""
    running = fleet.start("deploy", "--yes")
    time.sleep(after_s)
    if running.poll() is None:
        os.killpg(running.pid, signal.SIGKILL)
    running.communicate()


def supervisors(fleet: LocalFleet) -> list[str]:
    """Host folders of every running supervisor of this fleet: each at most once."""
    found = []
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"failover.agent.supervise" in words and str(fleet.state).encode() in b" ".join(words):
                found.append(words[words.index(b"--host-dir") + 1].decode())
    return found


@pytest.mark.timeout(600)
def test_deploy_goes_on_by_itself(empty_fleet: LocalFleet) -> None:
    chance = random.Random(7)
    for _ in range(3):
        kill_in_the_middle(empty_fleet, after_s=chance.uniform(0.3, 9.0))
    empty_fleet.deploy()
    empty_fleet.wait_protected()
    assert sorted(supervisors(empty_fleet)) == sorted(str(empty_fleet.host_dir(site)) for site in SITES)
    empty_fleet.run("destroy", "--yes")
    assert supervisors(empty_fleet) == []
    assert not any(empty_fleet.processes().values())
    assert not list(empty_fleet.state.iterdir()) if empty_fleet.state.exists() else True
