"""``switchover`` and ``crash``: ours by drills, Patroni 4 on the same PostgreSQL under the same load, in one run."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.lines import contender, say, spread, verdict
from tests.bench.patroni import measure_crashes, measure_switchovers
from tests.e2e.harness import LocalFleet

_RATE = 300
_THEIR_RUNS = 3


@contextmanager
def fleet(block: int) -> Iterator[LocalFleet]:
    """A fleet for the benchmark alone, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        one = LocalFleet(Path(folder), block=block)
        one.init()
        with one.standing():
            yield one


def primary(one: LocalFleet) -> str:
    """The site writes go to."""
    name: str = one.status()["record"]["primary"].split("_")[0]
    return name


def other(site: str) -> str:
    """The other data site."""
    return "beta" if site == "alpha" else "alpha"


def total(reports: list[dict[str, Any]]) -> dict[str, int]:
    """What must be zero over all runs."""
    return {
        "client_errors": sum(report["load"]["first_attempt_failed"] for report in reports),
        "errors_after_retries": sum(report["load"]["errors"] for report in reports),
        "lost": sum(report["ledger"]["lost"] for report in reports),
        "duplicated": sum(report["ledger"]["duplicated"] for report in reports),
        "acknowledged": sum(report["ledger"]["acknowledged_writes"] for report in reports),
        "dead_side_calls": sum(report["dead_side"]["calls"] for report in reports),
        "most_writable_at_once": max(report["writable_at_once"] for report in reports),
    }


def switchover(runs: int, *, contest: bool) -> int:
    """Write pause of a planned move at 200 writes/s and 100 reads/s."""
    reports = []
    with fleet(110) as one:
        for number in range(runs):
            report = one.drill("switchover", other(primary(one)), rate=_RATE, seconds=6.0, seed=number)
            reports.append(report)
            say(f"switchover {number + 1}/{runs}: pause {report['write_pause_ms']['longest']:.0f} ms, "
                f"failed {report['load']['first_attempt_failed']}, lost {report['ledger']['lost']}")  # fmt: skip
            one.wait_protected()
    pauses = [report["write_pause_ms"]["longest"] for report in reports]
    sums = total(reports)
    contender("failover", pause_ms=spread(pauses), **sums)
    theirs = None
    if contest:
        figures = measure_switchovers(_THEIR_RUNS, writes_per_s=_RATE * 2 / 3, reads_per_s=_RATE / 3)
        theirs = statistics.median(figure.pause_ms for figure in figures)
        contender("patroni 4, synchronous_mode_strict", pause_ms=spread([figure.pause_ms for figure in figures]))
    ours = statistics.median(pauses)
    sound = not (sums["client_errors"] or sums["lost"] or sums["duplicated"])
    held = ours <= 250 and max(pauses) <= 600 and sound and (theirs is None or theirs >= 5 * ours)
    limit = "0 errors, 0 lost, p50 <= 250 ms, max <= 600 ms, Patroni at least 5 x"
    return verdict("switchover", ours=ours, theirs=theirs, limit=limit, held=held)


def crash(runs: int, *, contest: bool) -> int:
    """First acknowledged write after the primary's whole provider died."""
    reports, returns = [], []
    with fleet(110) as one:
        for number in range(runs):
            victim = primary(one)
            report = one.drill("kill", victim, rate=_RATE, seconds=8.0, seed=number)
            reports.append(report)
            back = one.drill("return", victim, rate=60, seconds=4.0, seed=number)
            returns.append(back["reprotected_s"])
            lost = report["ledger"]["lost"]
            say(f"kill {number + 1}/{runs}: first write {report['recovery_time_s']} s, lost {lost}, "
                f"dead side {report['dead_side']['calls']}, protected {back['reprotected_s']} s")  # fmt: skip
            one.wait_protected()
    times = [report["recovery_time_s"] for report in reports if report["recovery_time_s"] is not None]
    sums = total(reports)
    contender(
        "failover", first_write_s=spread(times), reprotected_s=spread([value for value in returns if value]), **sums
    )
    theirs = None
    if contest:
        figures = measure_crashes(_THEIR_RUNS, writes_per_s=_RATE * 2 / 3, reads_per_s=_RATE / 3)
        seen = [figure.recovery_s for figure in figures if figure.recovery_s is not None]
        theirs = statistics.median(seen)
        contender("patroni 4, synchronous_mode", first_write_s=spread(seen))
    ours = statistics.median(times)
    sound = len(times) == runs and not (sums["lost"] or sums["duplicated"] or sums["dead_side_calls"])
    sound = sound and sums["most_writable_at_once"] == 1
    held = ours <= 1.5 and max(times) <= 3.5 and sound and (theirs is None or theirs >= 5 * ours)
    limit = "0 lost, 0 calls, median <= 1.5 s, max <= 3.5 s, Patroni at least 5 x"
    return verdict("crash", ours=ours, theirs=theirs, limit=limit, held=held)
