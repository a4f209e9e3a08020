"""``slow``: every link between sites gets a round trip as between continents, with jitter and, if asked for, stalls.

To a standby's SITE: a planned move under the delay. To the primary's SITE: nothing is moved, and nothing may move: a
slow network is no dead provider.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType

import msgspec

from failover.errors import Unreachable
from failover.model.report import Slowed
from failover.operations.delay_line import STALL_S, Carried
from failover.operations.drill_links import Links, all_links, ip
from failover.operations.drill_moves import switchover
from failover.operations.drill_scene import Scene, boot_s

_ROOT = str(Path(__file__).parents[2])
_TABLE = 7700
# Of a round trip: what the internet adds at random on a good day.
_JITTER_SHARE = 0.1
# Connections and queues of the old speed are gone by then.
_GET_USED_S = 2.0


def slow(scene: Scene) -> None:
    """Slow the links, wait, move (or not), and give the speed back at the end."""
    ask, fleet = scene.ask, scene.wired.fleet
    with Links(fleet) as links, DelayLine(scene) as line:
        begun = boot_s()
        links.lead(all_links(fleet), table=line.table)
        scene.fault(f"round trips of {ask.rtt_ms:g} ms", begun, boot_s())
        scene.wait_until(boot_s() + _GET_USED_S)
        if scene.hits_primary:
            scene.wait_to_the_end()
        else:
            switchover(scene)
            scene.wait_to_the_end()
    if line.carried is None:
        scene.gathered.remarks.append("the delay line did not finish in order: stalls were not counted")
        return
    scene.gathered.slowed = Slowed(
        rtt_ms=ask.rtt_ms, seconds=round(boot_s() - begun, 1), packets=line.carried.packets,
        stalls=line.carried.stalls, stall_s=STALL_S,
    )  # fmt: skip


class DelayLine:
    """A TUN device with a delay, and the routing table whose packets go through it."""

    def __init__(self, scene: Scene) -> None:
        self.carried: Carried | None = None
        self._device = f"fod{os.getpid()}"
        self.table = _TABLE + os.getpid()
        ask = scene.ask
        one_way_ms = ask.rtt_ms / 2
        words = {
            "--device": self._device,
            "--delay-ms": one_way_ms * (1 - _JITTER_SHARE),
            "--jitter-ms": one_way_ms * 2 * _JITTER_SHARE,
            "--stalls": ask.stalls,
            "--seed": ask.seed,
        }
        arguments = [str(word) for pair in words.items() for word in pair]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "failover.operations.delay_line", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
            env={**os.environ, "PYTHONPATH": _ROOT},
        )  # fmt: skip

    def __enter__(self) -> DelayLine:
        assert self._process.stdout is not None
        if not self._process.stdout.readline():
            self._process.wait()
            raise Unreachable("the delay line did not start", hint="is there /dev/net/tun?")
        ip("link", "set", self._device, "up", "mtu", "1500", "txqueuelen", "5000")
        ip("route", "replace", "default", "dev", self._device, "table", str(self.table))
        # What comes out of the device is forwarded to its site.
        Path(f"/proc/sys/net/ipv4/conf/{self._device}/forwarding").write_text("1")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5.0)
            if said := self._process.stdout.readline():
                self.carried = msgspec.json.decode(said, type=Carried)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
