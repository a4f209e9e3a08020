"""A light load with a ledger beside whatever a test does to a fleet, and its comparison with the rows at the end."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from failover.cli.options import Options
from failover.cli.wiring import wire
from failover.load.check import Comparison, compare, read_back
from failover.load.ledger import read_ledger
from failover.load.process import LoadProcess
from failover.load.request import LoadRequest
from failover.load.workload_file import load_workload
from failover.operations.wired import Wired
from tests.e2e.harness import LocalFleet


def wired_of(fleet: LocalFleet) -> Wired:
    """The fleet's parts in this process; close them."""
    return wire(Options(fleet=fleet.file, json=False, verbose=False, colour=False))


class Load:
    """``with Load(fleet, folder) as load: …; load.finish()``. The generator is a process of its own."""

    def __init__(
        self, fleet: LocalFleet, folder: Path, *, writes_per_s: float = 24.0, reads_per_s: float = 12.0, seed: int = 1
    ) -> None:
        self._fleet = fleet
        folder.mkdir(parents=True, exist_ok=True)
        self.ledger = folder / "ledger.jsonl.zst"
        wired = wired_of(fleet)
        try:
            self.request = _request(wired, self.ledger, writes_per_s, reads_per_s, seed)
        finally:
            wired.close()
        self._process = LoadProcess(self.request, folder=folder)

    def __enter__(self) -> Load:
        self._process.__enter__()
        self._process.wait_ready(deadline_s=90.0)
        self._process.wait_acknowledged(3, deadline_s=60.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.__exit__(kind, value, trace)

    def finish(self) -> Comparison:
        """End the arrivals, wait for every answer, and compare with the rows of the primary."""
        self._process.stop()
        return compare(read_ledger(self.ledger), self.stored())

    def stored(self) -> list[str]:
        """The ids that the primary holds now, one for each row."""
        wired = wired_of(self._fleet)
        try:
            record = wired.record.read(deadline_s=5.0)
            assert record is not None
            return read_back(
                self.request.workload.read_back,
                run=self.request.run,
                query=lambda sql, values: wired.measure.column(record.primary_site, sql, values),
            )
        finally:
            wired.close()


def _request(wired: Wired, ledger: Path, writes_per_s: float, reads_per_s: float, seed: int) -> LoadRequest:
    fleet = wired.fleet
    return LoadRequest(
        run=f"c{int(time.time()):x}_{seed}",
        seed=seed,
        workload=load_workload(wired.fleet_path.parent / (fleet.app.workload or "workload.yaml")),
        target=f"http://{fleet.dns.name}:{fleet.data_sites[0].ports.edge}",
        dns_servers=tuple(f"{site.address}:{site.ports.dns}" for site in fleet.dns_sites),
        ledger=str(ledger),
        writes_per_s=writes_per_s,
        reads_per_s=reads_per_s,
        connect_s=1.0,
    )
