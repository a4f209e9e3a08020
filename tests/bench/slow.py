"""``slow``: planned moves over slow links, then half an hour of stalls in which nothing may move."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.faults import sound
from tests.bench.lines import contender, say, spread, verdict
from tests.bench.moves import other, primary, total
from tests.bench.network import isolated
from tests.e2e.harness import LocalFleet

# Planned move over slow links: its limit on loopback, and how many round trips may lie in its pause (which ones:
# operations/drill_report). What the steps cost at each round trip is printed, and the slope of the whole.
FLOOR_MS, ROUND_TRIPS = 600.0, 25
RTTS_MS = (40, 80)
_STALL_RTT_MS = 80
_BLOCK, _CALM_BLOCK = 201, 31
_MINUTES = 30.0


def slow(runs: int, *, contest: bool, minutes: float = _MINUTES) -> int:
    """``runs`` moves at each round trip; ``minutes`` of 1 % stalls on a fleet with the times for the internet."""
    del contest
    held, pauses = True, {}
    if runs:
        with isolated(_BLOCK) as one:
            for rtt_ms in (0, *RTTS_MS):
                reports = [_move(one, rtt_ms, seed=number) for number in range(runs)]
                pauses[rtt_ms] = [report["write_pause_ms"]["longest"] for report in reports]
                sums, limit_ms = total(reports), FLOOR_MS + ROUND_TRIPS * rtt_ms
                figures = {"pause_ms": spread(pauses[rtt_ms]), "limit_ms": limit_ms, "steps_ms": _steps(reports)}
                contender(f"failover at {rtt_ms} ms", **figures, **sums)
                held = held and max(pauses[rtt_ms]) <= limit_ms and not sums["client_errors"] and sound(sums)
        contender("round trips in the pause", k_limit=ROUND_TRIPS, k_measured=_slope(pauses), floor_limit_ms=FLOOR_MS,
                  floor_measured_ms=round(statistics.median(pauses[0])))  # fmt: skip
    if minutes:
        held = _stalls(minutes) and held
    limit = f"0 errors, pause <= {FLOOR_MS:.0f} ms + {ROUND_TRIPS} x RTT; no promotion in {minutes:g} min of 1 % stalls"
    worst = max((pause for found in pauses.values() for pause in found), default=0.0)
    return verdict("slow", ours=worst, theirs=None, limit=limit, held=held)


def _move(one: LocalFleet, rtt_ms: int, *, seed: int) -> dict[str, Any]:
    one.wait_protected()
    report = one.drill("slow", other(primary(one)), rate=90, seconds=12.0, seed=seed, more=("--rtt", f"{rtt_ms}ms"))
    failed, lost = report["load"]["first_attempt_failed"], report["ledger"]["lost"]
    pause = report["write_pause_ms"]["longest"]
    say(f"{rtt_ms} ms seed {seed}: pause {pause:.0f} ms, failed {failed}, lost {lost} {report['remarks'] or ''}")
    return report


def _steps(reports: list[dict[str, Any]]) -> dict[str, int]:
    """Median of each journaled step, in the order in which they began."""
    found: dict[str, list[float]] = {}
    for report in reports:
        for phase in report["phases"]:
            found.setdefault(phase["name"], []).append(phase["seconds"] * 1000)
    return {name: round(statistics.median(values)) for name, values in found.items()}


def _slope(pauses: dict[int, list[float]]) -> float:
    """Round trips that lie in the pause: what a longer one adds to the median, by what it is longer."""
    slowest = max(RTTS_MS)
    return round((statistics.median(pauses[slowest]) - statistics.median(pauses[0])) / slowest, 1)


def _stalls(minutes: float) -> bool:
    with isolated(_CALM_BLOCK, probe_every="1s") as one:
        site = primary(one)
        more = ("--rtt", f"{_STALL_RTT_MS}ms", "--stalls", "1")
        calm = one.drill("slow", site, rate=30, seconds=60.0 * minutes + 15.0, seed=30, more=more)
    return told(calm, minutes=minutes)


def told(calm: dict[str, Any], *, minutes: float) -> bool:
    """Print what a drill of stalls came to; whether nothing moved in all that time."""
    slowed, epoch = calm["slowed"], calm["epoch"]
    moved = epoch["after"] - epoch["before"]
    contender(
        f"failover at {_STALL_RTT_MS} ms with 1 % stalls, probes every 1 s", minutes=round(slowed["seconds"] / 60, 1),
        stalls=slowed["stalls"], stall_s=slowed["stall_s"], packets=slowed["packets"], epoch=epoch,
        false_promotes=moved, unprotected_s=calm["unprotected_s"], **total([calm]),
    )  # fmt: skip
    enough = slowed["seconds"] >= 60 * minutes and slowed["stalls"] > 0
    return moved == 0 and enough and sound(total([calm]))
