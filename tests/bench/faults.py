"""``freeze`` and ``standby``: faults that leave half of something alive, by drills."""

from __future__ import annotations

import statistics
from typing import Any

from tests.bench.lines import contender, say, spread, verdict
from tests.bench.moves import fleet, other, primary, total

_RATE = 150


def old_sides(reports: list[dict[str, Any]]) -> dict[str, int]:
    """What the sides that were left behind answered, over all runs."""
    names = ("asked", "answered", "stale_reads", "writes_acknowledged", "writes_alone")
    return {f"old_side_{name}": sum(report["old_side"][name] for report in reports) for name in names}


def sound(sums: dict[str, int]) -> bool:
    """Nothing lost, nothing twice, one writer, nothing of the past."""
    bad = ("lost", "duplicated", "old_side_stale_reads", "old_side_writes_alone")
    return not any(sums.get(name, 0) for name in bad) and sums["most_writable_at_once"] == 1


def freeze(runs: int, *, contest: bool) -> int:
    """First acknowledged write after the primary's provider paused it; then it wakes."""
    del contest
    frozen, woken = [], []
    with fleet(137) as one:
        for number in range(runs):
            victim = primary(one)
            frozen.append(one.drill("freeze", victim, rate=_RATE, seconds=8.0, seed=number))
            woken.append(one.drill("return", victim, rate=60, seconds=6.0, seed=number))
            old = woken[-1]["old_side"]
            say(f"freeze {number + 1}/{runs}: first write {frozen[-1]['recovery_time_s']} s, old side asked "
                f"{old['asked']}, stale {old['stale_reads']}, alone {old['writes_alone']}")  # fmt: skip
            one.wait_protected()
    times = [report["recovery_time_s"] for report in frozen if report["recovery_time_s"] is not None]
    sums = total(frozen + woken) | old_sides(woken)
    back = [report["reprotected_s"] for report in woken if report["reprotected_s"]]
    contender("failover", first_write_s=spread(times), reprotected_s=spread(back), **sums)
    ours = statistics.median(times)
    held = len(times) == len(back) == runs and ours <= 2.5 and sound(sums)
    return verdict("freeze", ours=ours, theirs=None, limit="median <= 2.5 s, 0 lost, 0 stale, 0 alone", held=held)


def standby(runs: int, *, contest: bool) -> int:
    """Write stall when the standby's provider is killed, and when it freezes; protected again after its return."""
    del contest
    stalls: dict[str, list[float]] = {"kill": [], "freeze": []}
    reports, back = [], []
    with fleet(137) as one:
        for number in range(runs):
            for kind, found in stalls.items():
                victim = other(primary(one))
                reports.append(one.drill(kind, victim, rate=_RATE, seconds=8.0, seed=number))
                found.append(reports[-1]["write_pause_ms"]["longest"])
                back.append(one.drill("return", victim, rate=60, seconds=5.0, seed=number))
                say(f"{kind} of the standby {number + 1}/{runs}: stall {found[-1]:.0f} ms, lost "
                    f"{reports[-1]['ledger']['lost']}, protected {back[-1]['reprotected_s']} s")  # fmt: skip
                one.wait_protected()
    sums = total(reports + back)
    again = [report["reprotected_s"] for report in back if report["reprotected_s"] is not None]
    contender(
        "failover", killed_ms=spread(stalls["kill"]), frozen_ms=spread(stalls["freeze"]),
        reprotected_s=spread(again), **sums,
    )  # fmt: skip
    ours = max(stalls["kill"])
    held = ours <= 300 and max(stalls["freeze"]) <= 2500 and len(again) == len(back) and sound(sums)
    limit = "killed <= 300 ms, frozen <= 2500 ms (each run), 0 lost, protected again"
    return verdict("standby", ours=ours, theirs=None, limit=limit, held=held)
