"""The age of the last proven restore -> what ``status`` and ``check`` say of it. Pure. For fleets with snapshots."""

from __future__ import annotations

from collections.abc import Iterator

from failover.model.finding import Finding, Severity
from failover.model.fleet import Fleet
from failover.model.status import Figure
from failover.model.units import format_duration
from failover.planner.preflight import warning

OLD_S = 2 * 86400.0
"""``schedule install`` proves one each day: twice that is no bad night any more."""
_HINT = "failover snapshot verify"


def restore_findings(fleet: Fleet, age_s: float | None) -> Iterator[Finding]:
    """What nobody has restored is a hope. Nothing proven yet is a note: a new fleet begins so."""
    if fleet.snapshots is None:
        return
    if age_s is None:
        what = "no restore of a snapshot was proven from this machine"
        yield Finding(code="restore-unproven", severity=Severity.NOTE, message=what, hint=_HINT)
    elif age_s > OLD_S:
        yield warning("restore-old", f"the last proven restore is {format_duration(age_s)} old", _HINT)


def restore_figures(fleet: Fleet, age_s: float | None) -> tuple[Figure, ...]:
    """For graphs."""
    return () if fleet.snapshots is None else (Figure(name="proven_restore_age_s", value=age_s, unit="s"),)
