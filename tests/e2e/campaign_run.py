"""A campaign from the first client to the published files: ``history.jsonl``, ``final.jsonl``, ``verdict.txt``."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from failover.errors import FailoverError
from failover.operations.wired import Wired
from tests.e2e.campaign import Campaign, Tally
from tests.e2e.crash_points import left_over, settled
from tests.e2e.harness import ROOT, LocalFleet, keep_logs
from tests.e2e.load import wired_of
from tests.history.client import Client, History


class Outcome:
    """The tally, what the checker said (its figures, its exit status), what was left running, and whether the fleet was
    ``broken``: then its rows could not be read, and nothing was judged."""

    def __init__(self, tally: Tally, verdict: str, status: int, left: list[str], *, broken: bool) -> None:
        self.tally, self.verdict, self.status, self.left, self.broken = tally, verdict, status, left, broken
        last = verdict.strip().splitlines()[-1:]
        self.figures: dict[str, int] = json.loads(last[0]) if last and last[0].startswith("{") else {}


def run_campaign(
    fleet: LocalFleet, folder: Path, *, kills: int, seed: int, clients: int = 6, pace_s: float = 0.15,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:  # fmt: skip
    """On a deployed fleet with ``promote: auto``. The files are in ``folder``, complete, also when it goes wrong."""
    folder.mkdir(parents=True)
    wired = wired_of(fleet)
    history = History(folder / "history.jsonl")
    run = f"h{int(time.time()):x}"
    try:
        settled(wired)
        campaign = Campaign(fleet, wired, history, seed=seed)
        with _record_followed(fleet, history), _clients(wired, history, run, clients, pace_s):
            tally = campaign.run(kills, say=say, bad=lambda: keep_logs(fleet, folder))
        if not campaign.broken:
            _read_rows(wired, run, folder / "final.jsonl")
    finally:
        history.close()
        wired.close()
    left = left_over(fleet)
    if campaign.broken:
        return Outcome(tally, "the fleet never recovered: its rows were not read", 1, left, broken=True)
    checked = subprocess.run(
        [sys.executable, "-m", "tests.history.check", str(folder)],
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    (folder / "verdict.txt").write_text(checked.stdout + checked.stderr)
    return Outcome(tally, checked.stdout, checked.returncode, left, broken=False)


def _read_rows(wired: Wired, run: str, path: Path) -> None:
    record = wired.record.read(deadline_s=10.0)
    assert record is not None
    query = "select client_id from posts where starts_with(client_id, %(prefix)s)"
    rows = wired.measure.column(record.primary_site, query, {"prefix": f"{run}_"})
    path.write_text("".join(f"{json.dumps({'id': row})}\n" for row in rows))


@contextlib.contextmanager
def _clients(wired: Wired, history: History, run: str, count: int, pace_s: float) -> Iterator[None]:
    edges = [(site.address, site.ports.edge) for site in wired.fleet.data_sites]
    keys = [f"{run}_{number}" for number in range(count)]
    clients = [Client(history, edges, key=key, keys=keys, pace_s=pace_s) for key in keys]
    for client in clients:
        client.sign_up()
    for client in clients:
        client.start()
    try:
        yield
    finally:
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join(timeout=30.0)


@contextlib.contextmanager
def _record_followed(fleet: LocalFleet, history: History) -> Iterator[None]:
    """Every change of the record that can be seen from here goes into the history."""
    ending = threading.Event()
    wired = wired_of(fleet)

    def follow() -> None:
        revision = 0
        while not ending.is_set():
            try:
                record = wired.record.wait_change(after_revision=revision, timeout_s=0.5)
            except FailoverError:
                ending.wait(0.1)  # no majority for a moment; what changed meanwhile shows in the next revision
                continue
            if record is not None and record.revision > revision:
                revision = record.revision
                history.add("record", revision=revision, epoch=record.epoch, primary=record.primary,
                            sync=list(record.sync), move=record.move.run if record.move else "")  # fmt: skip

    thread = threading.Thread(target=follow, name="record", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join(timeout=5.0)
        wired.close()
