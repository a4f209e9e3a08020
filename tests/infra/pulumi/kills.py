"""SIGKILL at a random instant of an ``up`` or ``destroy``, then ``up``: it must arrive by itself, with nothing twice.

``python -m tests.infra.pulumi.kills N`` runs N seeds and prints one line each."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.infra.pulumi.fleets import ROOT, SUPERVISE, StackFleet, wait_until

VICTIMS = ("asker", "driver", "engine", "plugin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Killed:
    """What was done to which process, and how long the way back took."""

    seed: int
    operation: str
    victim: str
    after_s: float
    hit: bool
    repaired_s: float


def kill_and_repair(fleet: StackFleet, seed: int, victim: str) -> Killed:
    """One seed. Raises ``AssertionError`` when the stack does not converge or anything is left or made twice."""
    dice = random.Random(seed)
    operation = dice.choice(("up", "up", "destroy"))
    if operation == "destroy":
        fleet.up("alpha")
    asker = subprocess.Popen(
        [sys.executable, "-m", "tests.infra.pulumi.asker", str(fleet.state), fleet.block, operation, "alpha"],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT), "FAILOVER_SUPERVISE": SUPERVISE},
    )
    wait_until(lambda: bool(fleet.of_engine()[victim]) or asker.poll() is not None)
    after_s = dice.uniform(0, {"engine": 1.2, "plugin": 0.7}.get(victim, 2.5))
    time.sleep(after_s)
    victims = fleet.of_engine()[victim]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    if victim not in ("asker", "driver"):
        asker.wait(60)  # it hears of the failure and ends; the two others leave work behind that goes on
    begun = time.monotonic()
    fleet.up("alpha")
    repaired_s = time.monotonic() - begun
    asker.wait(60)
    _assert_one(fleet)
    assert fleet.destroy("alpha") == 2
    _assert_nothing(fleet)
    return Killed(
        seed=seed, operation=operation, victim=victim, after_s=after_s, hit=bool(victims), repaired_s=repaired_s
    )


def _assert_one(fleet: StackFleet) -> None:
    host = fleet.of_host("alpha")
    assert [len(pids) for pids in host.values()] == [1, 1], host
    outputs = fleet.provisioner.outputs("alpha", deadline_s=10)
    assert outputs is not None
    assert not any(fleet.of_engine().values()), fleet.of_engine()


def _assert_nothing(fleet: StackFleet) -> None:
    assert not any(fleet.of_host("alpha").values()), fleet.of_host("alpha")
    assert not list((fleet.state / "sites").iterdir())
    assert not any(fleet.of_engine().values()), fleet.of_engine()
    locks = fleet.state / "pulumi" / "backend" / ".pulumi" / "locks"
    assert not list(locks.rglob("*.json"))


def main() -> None:
    """N seeds in one folder."""
    os.environ["FAILOVER_SUPERVISE"] = SUPERVISE
    with tempfile.TemporaryDirectory(prefix="failover-kills-") as folder:
        fleet = StackFleet(Path(folder), "127.83.200")
        try:
            for seed in range(int(sys.argv[1])):
                sys.stdout.write(f"{kill_and_repair(fleet, seed, VICTIMS[seed % len(VICTIMS)])}\n")
                sys.stdout.flush()
        finally:
            fleet.clean()


if __name__ == "__main__":
    main()
