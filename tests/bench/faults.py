"""``freeze``, ``standby``, ``partition`` and ``slow``: faults that leave half of something alive, by drills."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.lines import contender, say, spread, verdict
from tests.bench.moves import fleet, other, primary, total
from tests.e2e.harness import LocalFleet

_RATE = 150
# Between three sites: whom the cut leaves alone, and which direction or which one link of its.
SHAPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "A|BW": ("primary", ()),
    "AB|W": ("witness", ()),
    "AW|B": ("standby", ()),
    "A sends nothing": ("primary", ("--way", "out")),
    "A hears nothing": ("primary", ("--way", "in")),
    "B sends nothing": ("standby", ("--way", "out")),
    "A-B only": ("primary", ("--only", "standby")),
}
# Planned move over slow links: a floor, and how many round trips lie in its pause (see operations/drill_report).
FLOOR_MS, ROUND_TRIPS = 1200.0, 25


@contextmanager
def isolated(block: int) -> Iterator[LocalFleet]:
    """A fleet whose sites have networks of their own, gone afterwards. Needs root."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        one = LocalFleet(Path(folder), block=block)
        one.init("--isolated")
        try:
            one.deploy()
            one.wait_protected()
            yield one
        finally:
            one.run("destroy", "--yes", status=None)
            one.end()


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


def partition(runs: int, *, contest: bool) -> int:
    """Every shape of a cut between three sites, ``runs`` times each."""
    del contest
    reports = []
    with isolated(137) as one:
        for number in range(runs):
            for shape, (alone, words) in SHAPES.items():
                site = one.wait_protected()["record"]["primary"].split("_")[0]
                sites = {"primary": site, "standby": other(site), "witness": "gamma"}
                more = tuple(sites.get(word, word) for word in words)
                report = one.drill("partition", sites[alone], rate=90, seconds=12.0, seed=number, more=more)
                reports.append(report)
                old = report["old_side"]
                say(f"{shape} {number + 1}/{runs}: lost {report['ledger']['lost']}, writable "
                    f"{report['writable_at_once']}, stale {old['stale_reads']} of {old['asked']}, alone "
                    f"{old['writes_alone']}, primary {report['primary']}, whole again {report['reprotected_s']} s, "
                    f"pause {report['write_pause_ms']['longest']:.0f} ms {report['remarks']}")  # fmt: skip
    healed = [report["reprotected_s"] for report in reports if report["reprotected_s"] is not None]
    sums = total(reports) | old_sides(reports)
    contender("failover", shapes=len(SHAPES), whole_again_s=spread(healed), **sums)
    held = len(healed) == len(reports) and sound(sums)
    limit = f"{len(reports)} of {len(reports)} heal, 0 lost, 1 writable, 0 stale, 0 alone"
    return verdict("partition", ours=len(healed), theirs=None, limit=limit, held=held)


def slow(runs: int, *, contest: bool) -> int:
    """Planned moves over slow links, then minutes with stalls in which nothing may move."""
    del contest
    held, pauses = True, []
    with isolated(137) as one:
        for rtt_ms in (40, 80):
            reports = []
            for number in range(runs):
                target = other(one.wait_protected()["record"]["primary"].split("_")[0])
                more = ("--rtt", f"{rtt_ms}ms")
                reports.append(one.drill("slow", target, rate=90, seconds=12.0, seed=number, more=more))
                say(f"{rtt_ms} ms {number + 1}/{runs}: pause {reports[-1]['write_pause_ms']['longest']:.0f} ms, failed "
                    f"{reports[-1]['load']['first_attempt_failed']}")  # fmt: skip
            pauses = [report["write_pause_ms"]["longest"] for report in reports]
            sums, limit_ms = total(reports), FLOOR_MS + ROUND_TRIPS * rtt_ms
            contender(f"failover at {rtt_ms} ms", pause_ms=spread(pauses), limit_ms=limit_ms, **sums)
            held = held and max(pauses) <= limit_ms and not sums["client_errors"] and sound(sums)
        site = one.wait_protected()["record"]["primary"].split("_")[0]
        more = ("--rtt", "80ms", "--stalls", "1")
        calm = one.drill("slow", site, rate=30, seconds=60.0 * runs, seed=1, more=more)
        moved = calm["epoch"]["after"] - calm["epoch"]["before"]
        contender("failover at 80 ms with 1 % stalls", minutes=runs, false_promotes=moved, **total([calm]))
        held = held and moved == 0
    limit = f"0 errors, pause <= {FLOOR_MS:.0f} ms + {ROUND_TRIPS} x RTT; no promotion with 1 % stalls"
    return verdict("slow", ours=max(pauses), theirs=None, limit=limit, held=held)
