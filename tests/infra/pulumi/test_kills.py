"""SIGKILL in the middle of a create, and at random instants (``python -m tests.infra.pulumi.kills N`` for more)."""

from __future__ import annotations

import json
import os
import signal
import threading
from typing import Any

import pytest

from failover.errors import FailoverError
from tests.infra.pulumi.fleets import StackFleet, wait_until
from tests.infra.pulumi.kills import VICTIMS, kill_and_repair

pytestmark = pytest.mark.timeout(300)  # a dozen runs of the engine, on a machine that may be busy


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_up_arrives_after_a_kill(fleet: StackFleet, seed: int) -> None:
    done = kill_and_repair(fleet, seed, VICTIMS[seed % len(VICTIMS)])
    assert done.repaired_s < 100


def latest_state(fleet: StackFleet) -> dict[str, Any]:
    state = fleet.state / "pulumi" / "backend" / ".pulumi" / "stacks" / "failover" / "alpha.json"
    latest: dict[str, Any] = json.loads(state.read_text())["checkpoint"]["latest"]
    return latest


def orphan(fleet: StackFleet, victim: str) -> dict[str, list[int]]:
    """Kill the engine or its plug-in while it creates the host: the host lives, and no state knows it."""
    slow = fleet.state / "slow"
    slow.parent.mkdir(parents=True, exist_ok=True)
    slow.touch()
    failures: list[FailoverError] = []

    def up() -> None:
        try:
            fleet.up("alpha")
        except FailoverError as failure:
            failures.append(failure)

    thread = threading.Thread(target=up)
    thread.start()
    # Started, and registered as started: the create now waits for the agent to listen.
    assert wait_until((fleet.host_dir("alpha") / "run" / "supervise.json").exists, 60)
    for pid in fleet.of_engine()[victim]:
        os.kill(pid, signal.SIGKILL)
    thread.join()
    slow.unlink()
    assert len(failures) == 1
    assert failures[0].retriable
    left = fleet.of_host("alpha")
    assert [len(pids) for pids in left.values()] == [1, 1]
    latest = latest_state(fleet)
    assert not [item for item in latest.get("resources", ()) if item["type"] == "local:index:Host"]
    # The engine leaves a note of what it was about to make; a plug-in's death leaves none.
    assert len(latest.get("pending_operations") or ()) == (1 if victim == "engine" else 0)
    return left


@pytest.mark.parametrize("victim", ["engine", "plugin"])
def test_a_host_that_no_state_knows_is_adopted(fleet: StackFleet, victim: str) -> None:
    left = orphan(fleet, victim)
    assert fleet.up("alpha").changed == 2
    assert fleet.of_host("alpha") == left
    assert not latest_state(fleet).get("pending_operations")
    assert fleet.up("alpha").changed == 0


@pytest.mark.parametrize("victim", ["engine", "plugin"])
def test_a_host_that_no_state_knows_is_destroyed(fleet: StackFleet, victim: str) -> None:
    orphan(fleet, victim)
    assert fleet.destroy("alpha") == 1
    assert not any(fleet.of_host("alpha").values())
    assert not list((fleet.state / "sites").iterdir())
