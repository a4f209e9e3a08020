"""Patroni 4 under the load that ours is driven with: its pause at a planned move, its recovery when a site is killed.

The same PostgreSQL binaries and settings, the same app, the same generator, workload, ledger and figures. Where Patroni
has a choice it gets the quicker one. Its clients are patient (one attempt, as long as it takes): in its outages of
seconds, clients that give up and ask again pile up until they alone keep the app down, which is not Patroni's doing.
Must never be here: what our own side does, a verdict.

One thing cannot be equal: a promise. ``strict`` never acknowledges a write that is on one copy only, as our planned
move never does, so a move is paused until the old primary is a standby again. After the death of a site there is no
second copy, a strict Patroni would stay silent for ever; crashes are measured without it.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from failover.load.check import compare, read_back
from failover.load.ledger import FILE_NAME, read_ledger
from failover.load.process import LoadProcess
from failover.load.request import LoadRequest
from failover.load.timeline import acknowledged_instants, load_figures, recovery_s, write_pause
from failover.load.workload import Workload
from failover.load.workload_file import load_workload
from tests.bench.patroni_cluster import PatroniCluster, boottime_s, until
from tests.bench.patroni_texts import PATIENCE_S, ROOT

_STEADY_S = 2.0
_AFTERWARDS_S = 2.0
_RECOVERED_WITHIN_S = 90.0


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``pause_ms``: the longest gap between acknowledged writes of all clients. ``recovery_s``: from the first
    signal to the first acknowledged write that was sent when all was dead; ``None`` for a planned move. ``errors``:
    requests that failed for good; ``first_attempt_failed``: what a client that never retries would have seen.
    ``protected_s``: from the event until a synchronous standby was there again; after a kill ``None``, its site stays
    away. ``late_ms``: how late the generator itself was at worst; a large one says that the machine was too busy."""

    pause_ms: float
    recovery_s: float | None
    errors: int
    first_attempt_failed: int
    acknowledged_writes: int
    lost: int
    duplicated: int
    protected_s: float | None
    late_ms: float


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    """What was done to the cluster, in instants of CLOCK_BOOTTIME. ``complete_s``: when a kill had killed all."""

    begun_s: float
    complete_s: float | None = None
    protected_s: float | None = None


Act = Callable[[PatroniCluster, LoadProcess], _Event]


def measure_switchovers(
    runs: int, *, writes_per_s: float, reads_per_s: float, strict: bool = True, seed: int = 1
) -> list[Figure]:
    """``runs`` planned moves there and back under load. Raises what hinders one; nothing is left running."""
    figures = []
    with _contender(strict=strict) as (cluster, folder):
        for number in range(runs):
            cluster.wait_protected()
            request = _request(cluster, folder, seed + number, writes_per_s, reads_per_s)
            figures.append(_measure(cluster, request, _switchover))
            _say(f"Patroni switchover {number + 1}/{runs}: pause {figures[-1].pause_ms:.0f} ms")
    return figures


def measure_crashes(runs: int, *, writes_per_s: float, reads_per_s: float, seed: int = 1) -> list[Figure]:
    """``runs`` deaths of the primary's whole site under load; each gets its site back before the next."""
    figures = []
    with _contender(strict=False) as (cluster, folder):
        for number in range(runs):
            cluster.wait_protected()
            victim = cluster.leader()
            request = _request(cluster, folder, seed + number, writes_per_s, reads_per_s)
            figures.append(_measure(cluster, request, _kill))
            _say(f"Patroni crash {number + 1}/{runs}: first write after {figures[-1].recovery_s} s")
            if number + 1 < runs:
                cluster.give_back(victim)
    return figures


def _say(line: str) -> None:
    """Progress; stdout belongs to the figures."""
    print(line, file=sys.stderr, flush=True)


@contextmanager
def _contender(*, strict: bool) -> Iterator[tuple[PatroniCluster, Path]]:
    # A short path: PostgreSQL and Patroni write sockets and locks below it.
    with tempfile.TemporaryDirectory(prefix="patroni-") as name, PatroniCluster(Path(name), strict=strict) as cluster:
        yield cluster, Path(name)


def _workload() -> Workload:
    return load_workload(ROOT / "stacks" / "workload.yaml")


def _request(cluster: PatroniCluster, folder: Path, seed: int, writes_per_s: float, reads_per_s: float) -> LoadRequest:
    """As in a drill, but patient; an address for a name, so that no DNS answer can be slow."""
    inside = folder / f"load-{seed}"
    inside.mkdir()
    return LoadRequest(
        run=f"p{int(time.time()):x}_{seed}", seed=seed, workload=_workload(), target=cluster.target, dns_servers=(),
        ledger=str(inside / FILE_NAME), writes_per_s=writes_per_s, reads_per_s=reads_per_s,
        budget_s=PATIENCE_S, attempt_s=PATIENCE_S, connect_s=PATIENCE_S,
    )  # fmt: skip


def _measure(cluster: PatroniCluster, request: LoadRequest, act: Act) -> Figure:
    folder = Path(request.ledger).parent
    with LoadProcess(request, folder=folder) as load:
        from_s = load.wait_ready(deadline_s=60.0).at_s
        load.wait_acknowledged(int(request.writes_per_s), deadline_s=20.0)
        # The seed decides where in its loop Patroni is met.
        time.sleep(_STEADY_S + random.Random(request.seed).uniform(0.0, 1.0))
        event = act(cluster, load)
        time.sleep(_AFTERWARDS_S)
        until_s = boottime_s()
        load.stop()
    ledger = read_ledger(folder / FILE_NAME)
    compared = compare(ledger, read_back(request.workload.read_back, run=request.run, query=cluster.query)).figures
    figures = load_figures(ledger.requests, offered_per_s=request.writes_per_s + request.reads_per_s)
    recovered_s = None
    if event.complete_s is not None:
        recovered_s = recovery_s(ledger.writes, fault_s=event.begun_s, complete_s=event.complete_s)
    return Figure(
        pause_ms=write_pause(acknowledged_instants(ledger.writes), from_s=from_s, until_s=until_s).longest,
        recovery_s=recovered_s,
        errors=figures.errors,
        first_attempt_failed=figures.first_attempt_failed,
        acknowledged_writes=compared.acknowledged_writes,
        lost=compared.lost,
        duplicated=compared.duplicated,
        protected_s=None if event.protected_s is None else round(event.protected_s - event.begun_s, 3),
        late_ms=0.0 if ledger.end is None else ledger.end.latest_send_ms,
    )


def _switchover(cluster: PatroniCluster, load: LoadProcess) -> _Event:
    begun_s = boottime_s()
    cluster.switchover()
    protected_s = cluster.wait_protected()
    _wait_written(load, after_s=boottime_s())
    return _Event(begun_s=begun_s, protected_s=protected_s)


def _kill(cluster: PatroniCluster, load: LoadProcess) -> _Event:
    killed = cluster.kill_primary()
    # Answers that were under way when the site died still arrive for an instant.
    _wait_written(load, after_s=killed.complete_s + 1.0)
    return _Event(begun_s=killed.begun_s, complete_s=killed.complete_s)


def _wait_written(load: LoadProcess, *, after_s: float) -> None:
    """Blocks until a write was acknowledged later than ``after_s``."""

    def written() -> bool:
        progress = load.progress()
        last_s = None if progress is None else progress.last_acknowledged_s
        return last_s is not None and last_s > after_s

    until(written, deadline_s=_RECOVERED_WITHIN_S, what="an acknowledged write")
