"""What is asked of a drill, and what it gathers on the way. Values only."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec

from failover.load.asked import Asked
from failover.model.report import DeadSide, Mark, Phase, Slowed
from failover.planner.exposure import Exposure

KINDS = (
    "switchover", "kill", "freeze", "return", "refuse", "partition", "slow", "egress", "disk", "clock",
    "stop-midway",
)  # fmt: skip
ISOLATED_KINDS = ("partition", "slow", "egress")
WHOM = ("cli", "agent")
WAYS = ("both", "out", "in")


class DrillAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``rate_per_s`` counts all requests; two thirds are writes (300: 200 writes and 100 reads). ``site``: where
    writes go (switchover, slow), or whose provider does the harm (kill, freeze) and takes it back (return), or who is
    cut off (partition): ``way`` says which direction of its links ("both", "out", "in"), ``only`` names the one site
    it loses ("": all). ``rtt_ms`` between any two sites, ``stalls``: share of seconds in which a path stands still.
    ``whom``: who falls asleep in the middle of a move (stop-midway). ``rolled_back``:
    the disk goes back in time instead of being full (disk)."""

    kind: str
    site: str
    rate_per_s: float = 300.0
    duration_s: float = 15.0
    seed: int = 1
    way: str = "both"
    only: str = ""
    rtt_ms: float = 40.0
    stalls: float = 0.0
    whom: str = "cli"
    rolled_back: bool = False

    @property
    def writes_per_s(self) -> float:
        """Offered writes."""
        return self.rate_per_s * 2 / 3

    @property
    def reads_per_s(self) -> float:
        """Offered reads."""
        return self.rate_per_s / 3

    @property
    def steady_s(self) -> float:
        """How long the load runs before anything happens: a fifth of it all and at most 10 s, and a little the seed
        decides, so that faults do not always meet the same phase of every timer in the fleet."""
        return min(self.duration_s * 0.2, 10.0) + random.Random(self.seed).uniform(0.0, 0.7)


class Gathered(msgspec.Struct, kw_only=True):
    """Filled in while the drill runs; instants are CLOCK_BOOTTIME."""

    folder: Path
    began_s: float
    loaded_s: float = 0.0
    fault_s: float = 0.0
    complete_s: float = 0.0
    settled_s: float | None = None
    primary_before: str = ""
    epoch_before: int = 0
    primary_after: str = ""
    epoch_after: int = 0
    detected_s: float | None = None
    protected_s: float | None = None
    sync_before: tuple[str, ...] = ()
    stated: Exposure | None = None
    dns_right_s: float | None = None
    dns_alive: int = 0
    dns_correct: int = 0
    phases: list[Phase] = msgspec.field(default_factory=list)
    marks: list[Mark] = msgspec.field(default_factory=list)
    remarks: list[str] = msgspec.field(default_factory=list)
    dead_side: DeadSide = DeadSide()
    unprotected_s: float = 0.0
    asked: Asked | None = None
    asked_run: str = ""
    cut_ended_s: float | None = None
    slowed: Slowed | None = None
    woken_moves: int | None = None
    run: str = ""
