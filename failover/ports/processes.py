"""Port: the processes of one host. Production hosts use systemd, local ones detached processes; same promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec


class Handle(msgspec.Struct, frozen=True, kw_only=True):
    """A process by pid *and* start time: a pid alone may be somebody else's by now."""

    pid: int
    start_ticks: int


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """A program that ran to its end."""

    status: int
    output: str


class Processes(Protocol):
    """Starts, watches and ends processes that outlive the agent. Programs are named by well-known names."""

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        as_database: bool = False,
        nice: int = 0,
    ) -> Handle:
        """Start detached at that nice value (as far as this process may), with stdin closed and output appended to
        ``log``. Raises ``Unreachable`` when the program is not on this host. ``as_database``: with the rights
        PostgreSQL insists on (never root)."""
        ...

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        deadline_s: float,
        as_database: bool = False,
        stdin: bytes = b"",
        nice: int | None = None,
    ) -> Finished:
        """Run to the end, fed ``stdin`` (secrets go there, never into arguments); killed at the deadline (then
        ``Unreachable``). Output is bounded. ``nice`` ``None``: as urgent as this process."""
        ...

    def adopt(self, pid: int) -> Handle | None:
        """A handle on a process that runs already, or ``None`` when there is none by this pid."""
        ...

    def alive(self, handle: Handle) -> bool:
        """True while the process runs. Reaps it when it is our child: PostgreSQL refuses to start beside the zombie
        of its predecessor (safety E4)."""
        ...

    def signal(self, handle: Handle, number: int) -> bool:
        """Send a signal; ``False`` when the process was gone."""
        ...

    def stop(self, handle: Handle, *, number: int, timeout_s: float) -> bool:
        """Signal, wait, and after ``timeout_s`` kill it with all its descendants. True: it ended by the signal."""
        ...
