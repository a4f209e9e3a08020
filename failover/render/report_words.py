"""What a report says in words: the verdict on top, the figures of the tiles, numbers as people read them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from failover.model.report import DrillReport, Measure, Objective
from failover.model.units import format_duration

UNKNOWN = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """One figure to be seen from across the room. ``good`` ``None``: neither good nor bad by itself."""

    name: str
    value: str
    good: bool | None


def verdict(report: DrillReport) -> tuple[str, str]:
    """The two lines on top: held or missed and what was done; then the one thing to know."""
    what = f"{report.kind} of {report.site}" if report.kind != "switchover" else f"switchover to {report.site}"
    missed = [objective for objective in report.objectives if not objective.held]
    if report.held:
        return f"HELD: {what}", _in_short(report)
    if not missed:
        return f"MISSED: {what}", "; ".join(report.remarks) or "the drill did not end as it should; see the journal"
    count = f"{len(missed)} of {len(report.objectives)} objectives" if len(missed) > 1 else "one objective"
    shown = "; ".join(f"{one.name} {measured(one)} (limit {limit(one)})" for one in missed[:3])
    more = f"; and {len(missed) - 3} more" if len(missed) > 3 else ""
    return f"MISSED {count}: {what}", shown + more


def tiles(report: DrillReport) -> list[Tile]:
    """The figures that decide, most important first. What was not measured says so and is never green."""
    load, ledger = report.load, report.ledger
    back = (Measure.RECOVERY, duration(report.recovery_time_s), None)
    unretried = (Measure.ERRORS_UNRETRIED, count(load.first_attempt_failed), load.first_attempt_failed == 0)
    writable = UNKNOWN if report.writable_at_once is None else count(report.writable_at_once)
    figures: list[tuple[Measure, str, bool | None]] = [
        (Measure.LOST, count(ledger.lost), ledger.lost == 0),
        (Measure.DUPLICATED, count(ledger.duplicated), ledger.duplicated == 0),
        (Measure.ERRORS, count(load.errors), load.errors == 0),
        unretried if report.kind == "switchover" else back,
        (Measure.PAUSE, duration(report.write_pause_ms.longest / 1000), None),
        (Measure.WRITABLE, writable, (report.writable_at_once or 0) <= 1),
        (Measure.DEAD_CALLS, count(report.dead_side.calls), report.dead_side.calls == 0),
        (Measure.REPROTECTED, duration(report.reprotected_s), None),
    ]
    if report.unprotected_s:
        figures.append((Measure.UNPROTECTED, duration(report.unprotected_s), None))
    if (old := report.old_side).asked:
        figures += [
            (Measure.STALE_READS, f"{count(old.stale_reads)} of {count(old.asked)} asks", old.stale_reads == 0),
            (Measure.WRITES_ALONE, count(old.writes_alone), old.writes_alone == 0),
        ]
    if old.believed_for_s is not None:
        figures.append((Measure.BELIEVED, duration(old.believed_for_s), None))
    held = {objective.name: objective.held for objective in report.objectives}
    return [Tile(name=name, value=value, good=_good(value, good, held.get(name))) for name, value, good in figures]


def _good(value: str, by_itself: bool | None, held: bool | None) -> bool | None:
    """The worse of the figure itself and its objective; what was not measured is never good."""
    if by_itself is False or held is False:
        return False
    return None if value == UNKNOWN else by_itself or held


def measured(objective: Objective) -> str:
    """What was measured, with its unit."""
    return UNKNOWN if objective.measured is None else quantity(objective.measured, objective.unit)


def limit(objective: Objective) -> str:
    """The limit with its relation: ``≤ 250 ms``, ``= 0``."""
    sign = {"<=": "≤", ">=": "≥", "=": "="}.get(objective.relation, objective.relation)
    return f"{sign} {quantity(objective.limit, objective.unit)}"


def quantity(value: float, unit: str) -> str:
    """A number and its unit, without digits nobody measured."""
    if unit == "%":
        return f"{value:.3g} %"
    text = count(int(value)) if float(value).is_integer() else f"{value:,.3f}".rstrip("0").replace(",", "\u202f")
    return f"{text} {unit}".rstrip()


def count(value: int) -> str:
    """Thousands apart."""
    return f"{value:,}".replace(",", "\u202f")


def duration(seconds: float | None) -> str:
    """``None`` is said, not left out."""
    if seconds is None:
        return UNKNOWN
    return f"{seconds:.2f} s" if 1 <= seconds < 10 else format_duration(seconds)


def beside(report: DrillReport) -> list[tuple[str, str]]:
    """The promise of the app's class, and what was held open beside the requests. Empty where there was nothing."""
    rows = [("promise", report.promise)] if report.promise else []
    if (streams := report.streams) is not None:
        ended = f"{count(streams.ended)} ended and were opened again, away {duration(streams.longest_away_s)} at most"
        rows.append(("streams", f"{count(streams.held)} held; {ended}; {count(streams.refused)} openings refused"))
    if (uploads := report.uploads) is not None:
        slowest = f"the longest took {duration(uploads.longest_s)}"
        rows.append(("slow uploads", f"{count(uploads.sent)} sent, {count(uploads.failed)} failed; {slowest}"))
    return rows


def _in_short(report: DrillReport) -> str:
    gone = count(report.ledger.lost) if report.ledger.lost else "none"
    lost = f"{count(report.ledger.acknowledged_writes)} writes acknowledged, {gone} lost"
    if report.recovery_time_s is not None:
        return f"{lost}; writes were back {duration(report.recovery_time_s)} after the fault"
    return f"{lost}; longest write pause {duration(report.write_pause_ms.longest / 1000)}"
