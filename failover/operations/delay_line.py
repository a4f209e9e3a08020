"""A wire with a delay: takes packets out of a TUN device and puts each back when its time has come.

``python -m failover.operations.delay_line --device NAME --delay-ms N --jitter-ms N --stalls SHARE``. A process of its
own, so that its timing is not the drill's. Packets keep their order, as on one path through the internet: a packet that
waits holds up those behind it. Ends with its stdin, and says then what it did.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

import msgspec

from failover import kernel

_TUNSETIFF = 0x400454CA
_IFF_TUN_NO_PI = 0x1001
_BIGGEST = 65536
# A path that goes away for a moment (a route that flaps): long enough to fail probes, short enough to be no failure.
STALL_S = 1.0


def open_device(name: str) -> int:
    """A new TUN device of that name, gone when the descriptor is closed. Needs root."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    return descriptor


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """What a line did: packets taken in, and how often a path stood still."""

    packets: int
    stalls: int


class Line:
    """One path per pair of addresses. ``stalls``: share of seconds in which a path stands still for ``STALL_S``."""

    def __init__(self, *, delay_s: float, jitter_s: float, stalls: float, seed: int) -> None:
        self._delay_s = delay_s
        self._jitter_s = jitter_s
        self._stalls = stalls
        self._chance = random.Random(seed)
        self._paths: dict[bytes, deque[tuple[float, bytes]]] = {}
        self._latest: dict[bytes, float] = {}
        self._second: dict[bytes, int] = {}
        self.packets = 0
        self.stalls = 0

    def take(self, packet: bytes, *, now_s: float) -> None:
        """A packet arrives at the line."""
        self.packets += 1
        path = packet[12:20]  # source and destination of an IPv4 header
        due_s = now_s + self._delay_s + self._chance.uniform(0.0, self._jitter_s)
        if self._stalls and self._second.get(path) != int(now_s):
            self._second[path] = int(now_s)
            if self._chance.random() < self._stalls:
                due_s += STALL_S
                self.stalls += 1
        due_s = max(due_s, self._latest.get(path, 0.0))
        self._latest[path] = due_s
        self._paths.setdefault(path, deque()).append((due_s, packet))

    def due(self, *, now_s: float) -> list[bytes]:
        """Packets whose time has come, each path in order."""
        ready = []
        for queue in self._paths.values():
            while queue and queue[0][0] <= now_s:
                ready.append(queue.popleft()[1])
        return ready

    def next_s(self) -> float | None:
        """When the next packet is due."""
        return min((queue[0][0] for queue in self._paths.values() if queue), default=None)


def run(descriptor: int, line: Line) -> None:
    """Carry packets until stdin ends."""
    control = sys.stdin.fileno()
    while True:
        next_s = line.next_s()
        wait_s = None if next_s is None else max(next_s - time.monotonic(), 0.0)
        # Not poll, which counts whole milliseconds: rounded up they are added to every packet, rounded down they spin.
        readable, _, _ = select.select([descriptor, control], [], [], wait_s)
        if control in readable and not os.read(control, 4096):
            return
        now_s = time.monotonic()
        while True:
            try:
                packet = os.read(descriptor, _BIGGEST)
            except BlockingIOError:
                break
            if packet[0] >> 4 == 4:
                line.take(packet, now_s=now_s)
        for packet in line.due(now_s=time.monotonic()):
            try:
                os.write(descriptor, packet)
            except BlockingIOError:  # the kernel's queue is full: a packet is lost, as on any full line
                continue


def main() -> None:
    """Says one line when the device is there, and one of JSON at the end."""
    parser = argparse.ArgumentParser(prog="failover.operations.delay_line")
    parser.add_argument("--device", required=True)
    parser.add_argument("--delay-ms", type=float, required=True)
    parser.add_argument("--jitter-ms", type=float, default=0.0)
    parser.add_argument("--stalls", type=float, default=0.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    descriptor = open_device(options.device)
    # It stands for cables: the hosts' services share a control group that outweighs every process of ours, and a wire
    # that waited for a processor while they work would be a cut, which the fleet answers with a promotion.
    kernel.hurry(kernel.FIRST + 1)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    line = Line(
        delay_s=options.delay_ms / 1000, jitter_s=options.jitter_ms / 1000, stalls=options.stalls, seed=options.seed
    )
    run(descriptor, line)
    sys.stdout.write(msgspec.json.encode(Carried(packets=line.packets, stalls=line.stalls)).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
