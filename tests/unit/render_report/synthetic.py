"""A drill that never ran, in the shape of one that did: for the tests of the report, and for looking at its page.

``python -m tests.unit.render_report.synthetic FOLDER [held|missed|switchover]`` writes report.json and report.html.
"""

from __future__ import annotations

import math
import random
import sys
from pathlib import Path

import msgspec

from failover.model import report as model
from failover.render.report import write_report

FAULT_S = 12.0
BACK_S = 1.184
LENGTH_S = 42.0


def kill_report() -> model.DrillReport:
    """A provider killed under load; everything held."""
    return model.DrillReport(
        id="20260314t021507-kill-alpha",
        kind="kill",
        site="alpha",
        seed=7,
        started_at="2026-03-14T02:15:07.120Z",
        versions={"failover": "0.1.0", "postgresql": "18.6", "etcd": "3.4.23", "haproxy": "2.8.25", "python": "3.11.7"},
        load=model.LoadFigures(
            offered_per_s=300.0, requests=12_604, acknowledged=12_604, errors=0, retried=688,
            latency_ms=model.Latency(p50=4.1, p99=1093.4, max=1893.7), first_attempt_failed=371,
        ),
        ledger=model.LedgerFigures(
            acknowledged_writes=8_402, lost=0, duplicated=0, unacknowledged_but_present=0
        ),
        write_pause_ms=model.WritePause(longest=1184.2, p99=21.4, count=1),
        recovery_time_s=BACK_S,
        detection_s=0.771,
        exposure=model.ReportedExposure(stated_before_bytes=0, stated_before_s=0.0, lost_writes=0),
        primary=model.PrimaryChange(before="alpha", after="beta"),
        epoch=model.EpochChange(before=4, after=5),
        writable_at_once=1,
        dead_side=model.DeadSide(),
        dns=model.DnsFigures(servers_correct=1, servers_alive=1, seconds_to_correct=2.31),
        phases=(
            model.Phase(name="warm-up", started_s=0.0, seconds=12.0),
            model.Phase(name="fault spreads", started_s=12.0, seconds=0.041),
            model.Phase(name="two observers agree", started_s=12.041, seconds=0.73),
            model.Phase(name="record swapped", started_s=12.771, seconds=0.012),
            model.Phase(name="promoted", started_s=12.783, seconds=0.346),
            model.Phase(name="gates open", started_s=13.129, seconds=0.055),
            model.Phase(name="DNS", started_s=13.184, seconds=1.126),
            model.Phase(name="alone", started_s=13.184, seconds=12.8),
            model.Phase(name="alpha returns, rejoins", started_s=25.984, seconds=6.2),
        ),
        reprotected_s=20.184,
        objectives=(
            model.at_most(model.Measure.RECOVERY, limit=3.5, measured=BACK_S, unit="s"),
            model.exactly(model.Measure.LOST, limit=0, measured=0),
            model.exactly(model.Measure.DUPLICATED, limit=0, measured=0),
            model.exactly(model.Measure.ERRORS, limit=0, measured=0),
            model.exactly(model.Measure.WRITABLE, limit=1, measured=1),
            model.exactly(model.Measure.DEAD_CALLS, limit=0, measured=0),
            model.at_least("DNS servers correct", limit=1, measured=1),
            model.at_most(model.Measure.REPROTECTED, limit=60, measured=20.184, unit="s"),
        ),
        held=True,
        fault_s=FAULT_S,
        remarks=("Protected again 20.2 s after the fault: until then one more failure could have lost writes.",),
    )  # fmt: skip


def missed_report() -> model.DrillReport:
    """The same drill on a bad night."""
    good = kill_report()
    return msgspec.structs.replace(
        good,
        load=msgspec.structs.replace(good.load, errors=12, ambiguous=9, acknowledged=12_592),
        ledger=msgspec.structs.replace(good.ledger, lost=3, unacknowledged_but_present=4),
        recovery_time_s=4.127,
        writable_at_once=None,
        reprotected_s=None,
        dead_side=model.DeadSide(calls=2, log=("02:15:21.030Z dns 127.10.0.1:8053 <script>", "02:15:22.031Z again")),
        objectives=(
            model.at_most(model.Measure.RECOVERY, limit=3.5, measured=4.127, unit="s"),
            model.exactly(model.Measure.LOST, limit=0, measured=3),
            model.exactly(model.Measure.WRITABLE, limit=1, measured=None),
            good.objectives[2],
            model.exactly(model.Measure.ERRORS, limit=0, measured=12),
            model.exactly(model.Measure.DEAD_CALLS, limit=0, measured=2),
            good.objectives[6],
            model.at_most(model.Measure.REPROTECTED, limit=60, measured=None, unit="s"),
        ),
        held=False,
        remarks=("The load generator was late by up to 214 ms: figures below that are its own.",),
    )


def switchover_report() -> model.DrillReport:
    """A planned move."""
    good = kill_report()
    return msgspec.structs.replace(
        good, load=msgspec.structs.replace(good.load, first_attempt_failed=0, retried=0), reprotected_s=0.0,
        id="20260314t031122-switchover-beta", kind="switchover", site="beta", recovery_time_s=None, detection_s=None,
        write_pause_ms=model.WritePause(longest=187.0, p99=20.1, count=1),
        objectives=(
            model.exactly(model.Measure.ERRORS_UNRETRIED, limit=0, measured=0),
            model.at_most(model.Measure.PAUSE, limit=600, measured=187, unit="ms"),
            model.exactly("time unprotected", limit=0, measured=0, unit="s"),
        ),
        phases=(
            model.Phase(name="warm-up", started_s=0, seconds=11.4),
            model.Phase(name="preflight", started_s=11.4, seconds=0.6),
            model.Phase(name="hold", started_s=12.0, seconds=0.022),
            model.Phase(name="stop, equal LSN", started_s=12.022, seconds=0.081),
            model.Phase(name="commit and promote", started_s=12.103, seconds=0.071),
            model.Phase(name="release", started_s=12.174, seconds=0.013),
            model.Phase(name="DNS", started_s=12.187, seconds=0.9),
        ),
        remarks=(),
    )  # fmt: skip


def series(*, outage_s: float = BACK_S) -> model.DrillSeries:
    """What clients would have seen: 200 writes and 100 reads a second, one outage, a crowd after it."""
    chance = random.Random(7)
    points, acknowledged, failed = [], [0] * 420, [0] * 420
    at_s = 0.0
    while at_s < LENGTH_S - 3:
        at_s += chance.expovariate(300)
        write = chance.random() < 2 / 3
        usual_ms = (4.5 if write else 2.2) * math.exp(chance.gauss(0, 0.45))
        waits_s = max(FAULT_S + outage_s - at_s, 0.0) if at_s >= FAULT_S else 0.0
        latency_ms = usual_ms + 1000 * waits_s + (chance.uniform(0, 150) if waits_s else 0)
        points.append(
            model.LatencyPoint(at_s=round(at_s, 3), latency_ms=round(latency_ms, 2), write=write, acknowledged=True)
        )
        if write:
            acknowledged[min(int((at_s + latency_ms / 1000) * 10), 419)] += 1
        if waits_s and chance.random() < 0.6:
            failed[int(at_s * 10) + chance.randrange(4)] += 1
    chance.shuffle(points)
    return model.DrillSeries(
        bucket_s=0.1,
        acknowledged_writes=tuple(acknowledged),
        failed_attempts=tuple(failed),
        latency=tuple(points[:2400]),
        marks=(model.Mark(name="alpha killed", at_s=FAULT_S), model.Mark(name="alpha returns", at_s=25.984)),
    )


def main(folder: Path, which: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    report = {"held": kill_report, "missed": missed_report, "switchover": switchover_report}[which]()
    move = msgspec.structs.replace(series(outage_s=0.187), marks=(model.Mark(name="switchover", at_s=FAULT_S),))
    write_report(folder, report, move if which == "switchover" else series(outage_s=report.recovery_time_s or BACK_S))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "held")
