"""``stop-midway``: whoever carries out a move falls asleep in the middle of it, and wakes when another has done it.

The command (``--whom cli``) is stopped while its move is in the record and the gates are held: the fleet must open
again by itself, another run moves the primary, and the sleeper that wakes must change nothing. An agent (``--whom
agent``, the target's) is stopped at the same instant: the move must end one way or the other, and it follows on waking.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from failover.errors import FailoverError, Refused, Unreachable
from failover.model.record import Record
from failover.operations.carry_out import Approval, carry_out
from failover.operations.drill_scene import PROTECT_S, Scene, boot_s
from failover.operations.verbs import SwitchoverWish

_ROOT = str(Path(__file__).parents[2])
_BEGINS_WITHIN_S = 20.0
_ENDS_WITHIN_S = 40.0
_TRY_AGAIN_S = 0.5
_DEEPEST_S = 0.3
# A budget of a move (10 s by default), a lease and a little.
_OPEN_AGAIN_S = 30.0


def stop_midway(scene: Scene) -> None:
    """See above. The drilled site is where the move goes."""
    scene.watch.note(f"a switchover to {scene.ask.site} begins; {scene.ask.whom} falls asleep in its middle")
    with tempfile.TemporaryDirectory(prefix="failover-elsewhere") as elsewhere, _begin(scene, elsewhere) as mover:
        asleep: int | None = None
        try:
            asleep = _fall_asleep(scene, mover)
            _another(scene)
            before = scene.record()
            _wake(scene, asleep)
            asleep = None
            status = _wait_end(mover)
            _judge(scene, before, status)
        finally:
            if asleep is not None:
                os.kill(asleep, signal.SIGCONT)
            if mover.poll() is None:
                mover.terminate()
    scene.wait_protected(from_s=boot_s())
    scene.follow_names()
    scene.measure_names()


def _begin(scene: Scene, elsewhere: str) -> subprocess.Popen[bytes]:
    """Another operator's machine: the fleet file and a copy of the trust material, nothing else in common. On one
    machine the file lock alone would keep the second run out for as long as the first one sleeps."""
    fleet = Path(elsewhere, "fleet.yaml")
    fleet.write_bytes(scene.wired.fleet_path.read_bytes())
    shutil.copytree(scene.wired.state_dir / "trust", fleet.parent / ".failover" / "trust")
    log = (scene.gathered.folder / "midway.log").open("wb")
    command = [
        sys.executable, "-m", "failover", "--fleet", str(fleet),
        "switchover", "--to", scene.ask.site, "--yes",
    ]  # fmt: skip
    with log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            env={**os.environ, "PYTHONPATH": _ROOT},
        )  # fmt: skip


def _fall_asleep(scene: Scene, mover: subprocess.Popen[bytes]) -> int:
    """The process that was stopped, once the move was in the record."""
    began = boot_s()
    seen = scene.sampler.wait_record(
        lambda record: record.move is not None, from_s=began, deadline_s=_BEGINS_WITHIN_S
    )
    if seen is None:
        raise Refused("the switchover did not begin", hint=f"see {scene.gathered.folder / 'midway.log'}")
    # The move is claimed; the seed says how far into it (hold, stop, receive, commit) the sleep comes.
    time.sleep(random.Random(scene.ask.seed).uniform(0.0, _DEEPEST_S))
    victim = mover.pid if scene.ask.whom == "cli" else scene.provider.agent_pid(scene.ask.site)
    os.kill(victim, signal.SIGSTOP)
    scene.fault(f"{scene.ask.whom} asleep", boot_s())
    return victim


def _another(scene: Scene) -> None:
    """Wait until writes flow again by themselves, then let another run move the primary: as soon as the sleeper's lease
    is over. With an agent asleep only the first is asked for."""
    gone = scene.sampler.wait_record(
        lambda record: record.move is None, from_s=scene.gathered.fault_s, deadline_s=_OPEN_AGAIN_S
    )
    if gone is None:
        scene.gathered.remarks.append(f"the move stayed in the record for {_OPEN_AGAIN_S:.0f} s")
        return
    scene.mark("the move is over", gone.at_s)
    if scene.ask.whom != "cli":
        scene.wait_until(gone.at_s + 2.0)
        return
    until = boot_s() + _OPEN_AGAIN_S
    while True:
        try:
            carry_out(
                scene.wired, SwitchoverWish(scene.ask.site), approval=Approval(yes=True), watch=scene.watch,
                interrupt=scene.interrupt,
            )  # fmt: skip
        except FailoverError as error:
            if boot_s() > until:
                raise Unreachable(f"nobody could take over from the sleeper: {error}", hint=error.hint) from error
            time.sleep(_TRY_AGAIN_S)
            continue
        scene.mark("another run moved it")
        scene.sampler.wait_protected(from_s=boot_s(), deadline_s=PROTECT_S)
        return


def _wake(scene: Scene, victim: int) -> None:
    scene.watch.note(f"{scene.ask.whom} wakes")
    scene.mark(f"{scene.ask.whom} wakes")
    os.kill(victim, signal.SIGCONT)


def _wait_end(mover: subprocess.Popen[bytes]) -> int:
    try:
        return mover.wait(timeout=_ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        mover.kill()
        return mover.wait()


def _judge(scene: Scene, before: Record | None, status: int) -> None:
    """Noted for the report: with what status the woken command ended, and whether the epoch moved after it woke."""
    now = scene.record()
    moved = before is not None and now is not None and now.epoch != before.epoch
    scene.gathered.remarks.append(f"the sleeping move ended with exit status {status}")
    if scene.ask.whom == "cli":
        scene.gathered.woken_moves = int(moved)
