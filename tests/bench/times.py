"""``fleet`` (up, no-op, destroy), ``startup`` (--help, status) and ``deploy-kills``."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.bench.lines import contender, say, spread, verdict
from tests.bench.moves import fleet
from tests.e2e.harness import SITES, LocalFleet
from tests.e2e.test_deploy_killed import kill_in_the_middle, supervisors


def fleet_times(runs: int, *, contest: bool) -> int:
    """A fleet from nothing, the same again, and gone."""
    del contest
    up, same, gone = [], [], []
    for number in range(runs):
        with tempfile.TemporaryDirectory(prefix="bench") as folder:
            one = LocalFleet(Path(folder), block=110)
            one.init()
            try:
                up.append(one.deploy().seconds)
                same.append(one.deploy().seconds)
                gone.append(one.run("destroy", "--yes").seconds)
            finally:
                one.end()
        say(f"fleet {number + 1}/{runs}: up {up[-1]:.1f} s, again {same[-1]:.1f} s, destroy {gone[-1]:.1f} s")
    contender("failover", up_s=spread(up), no_op_s=spread(same), destroy_s=spread(gone))
    held = statistics.median(up) <= 25 and statistics.median(same) <= 6 and statistics.median(gone) <= 5
    return verdict(
        "fleet", ours=statistics.median(up), theirs=None, limit="up <= 25 s, no-op <= 6 s, destroy <= 5 s", held=held
    )


def startup(runs: int, *, contest: bool) -> int:
    """How long a person waits for --help and status; against the interpreter's own start."""
    del contest
    with fleet(110) as one:
        python = [_timed([sys.executable, "-c", "pass"], one) for _ in range(runs)]
        shown = [_timed(one.command("--help"), one) for _ in range(runs)]
        status = [_timed(one.command("status"), one) for _ in range(runs)]
    contender("python -c pass", seconds=spread(python))
    contender("failover", help_s=spread(shown), status_s=spread(status))
    held = statistics.median(shown) <= 0.25 and statistics.median(status) <= 0.5
    return verdict(
        "startup", ours=statistics.median(status), theirs=None, limit="--help <= 0.25 s, status <= 0.5 s", held=held
    )


def _timed(command: list[str], one: LocalFleet) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=one.environment(), capture_output=True, check=True, timeout=60)
    return time.perf_counter() - began


def deploy_kills(runs: int, *, contest: bool) -> int:
    """SIGKILL of a deploy at random instants, each from nothing or from what the last one left; then it converges."""
    del contest
    chance = random.Random(11)
    converged = 0
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        one = LocalFleet(Path(folder), block=110)
        one.init()
        try:
            for number in range(runs):
                after_s = chance.uniform(0.2, 12.0)
                kill_in_the_middle(one, after_s=after_s)
                one.deploy()
                one.wait_protected()
                twice = len(supervisors(one)) != len(SITES)
                converged += not twice
                say(f"deploy killed after {after_s:.1f} s ({number + 1}/{runs}): converged{', TWICE' if twice else ''}")
                if number % 4 == 3:
                    one.run("destroy", "--yes")
                    assert not supervisors(one)
                    one.file.unlink()  # `init` never overwrites one
                    one.init()
        finally:
            one.run("destroy", "--yes", status=None)
            left = supervisors(one)
            one.end()
    contender("failover", runs=runs, converged=converged, left_over=len(left))
    held = converged == runs and not left
    return verdict("deploy-kills", ours=converged, theirs=None, limit=f"{runs} of {runs} converge", held=held)
