"""Starting a load in a test, and reading its ledger once it is over."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from failover.load.ledger import FILE_NAME, Ledger, read_ledger
from failover.load.process import LoadProcess
from failover.load.request import LoadRequest
from failover.load.workload import Workload
from failover.model.ledger import RequestDone
from tests.integration.load.parts import NAME, PORT, workload

_UNCHANGED = workload()


def request(folder: Path, servers: tuple[str, ...], **changes: object) -> LoadRequest:
    """60 writes and 30 reads a second at the app's name, until stopped."""
    usual: dict[str, object] = {
        "run": "itest", "seed": 11, "workload": _UNCHANGED, "target": f"http://{NAME}:{PORT}", "dns_servers": servers,
        "ledger": str(folder / FILE_NAME), "writes_per_s": 60.0, "reads_per_s": 30.0, "budget_s": 6.0, "attempt_s": 1.0,
    }  # fmt: skip
    return LoadRequest(**{**usual, **changes})  # type: ignore[arg-type]


@contextlib.contextmanager
def driving(
    folder: Path, *servers: str, warm_up: int = 10, workload: Workload = _UNCHANGED, **changes: object
) -> Iterator[LoadProcess]:
    """A load that has acknowledged ``warm_up`` writes; killed at the end if the test did not stop it."""
    with LoadProcess(request(folder, servers, workload=workload, **changes), folder=folder) as load:
        load.wait_ready(deadline_s=60)
        load.wait_acknowledged(warm_up, deadline_s=60)
        yield load


def ledger_of(folder: Path) -> Ledger:
    return read_ledger(folder / FILE_NAME)


def boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def between(requests: tuple[RequestDone, ...], from_s: float, until_s: float) -> list[RequestDone]:
    """Requests that were due in this stretch."""
    return [one for one in requests if from_s <= one.scheduled_s < until_s]
