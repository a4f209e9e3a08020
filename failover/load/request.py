"""The JSON file that starts a generator, and the lines it says on stdout. Values only.

The request holds no secret: the workload names where they are, test accounts get random passwords.
"""

from __future__ import annotations

import re
from typing import Literal

import msgspec

from failover.load.arrivals import Schedule
from failover.load.workload import Workload

RUN = re.compile(r"^[a-z0-9][a-z0-9_]{2,23}$")


class LoadRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to drive and how.

    ``run`` begins every write id, so that no two runs share one: 3 to 24 of a-z, 0-9, ``_``. ``target`` is the app's
    public base URL; its name is asked of ``dns_servers`` (``address:port``), never of the machine's resolver.
    ``duration_s`` ``None``: until told to stop. ``budget_s`` is how long one request is tried, ``attempt_s`` one
    attempt, ``connect_s`` one address. ``retry`` off: every failed first attempt is an error.
    """

    run: str
    seed: int
    workload: Workload
    target: str
    dns_servers: tuple[str, ...]
    ledger: str
    writes_per_s: float = 200.0
    reads_per_s: float = 100.0
    schedule: Schedule = Schedule.POISSON
    duration_s: float | None = None
    retry: bool = True
    budget_s: float = 15.0
    attempt_s: float = 2.5
    connect_s: float = 0.25
    login_budget_s: float = 20.0
    ca_file: str = ""


class Said(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """Every line carries CLOCK_BOOTTIME of when it was said."""

    at_s: float


class Ready(Said, frozen=True, kw_only=True, tag="ready"):
    """Logged in; the schedule starts at ``at_s``."""

    pid: int


class Progress(Said, frozen=True, kw_only=True, tag="progress"):
    """Counts so far; ``last_acknowledged_s``: when the last write was acknowledged (``None``: none yet)."""

    acknowledged_writes: int
    acknowledged_reads: int
    errors: int
    retried: int
    outstanding: int
    last_acknowledged_s: float | None


class Finished(Said, frozen=True, kw_only=True, tag="finished"):
    """The ledger is closed and on disk. ``cpu_share``: of one core, over the run."""

    reason: Literal["duration", "stopped", "killed"]
    acknowledged_writes: int
    errors: int
    unfinished: int
    cpu_s: float
    cpu_share: float


class Failed(Said, frozen=True, kw_only=True, tag="failed"):
    """The load could not start; no write was sent."""

    code: str
    message: str
    hint: str = ""


Line = Ready | Progress | Finished | Failed
