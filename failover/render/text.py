"""Plans, refusals, status, runs and errors as text for people. Unknown is shown as unknown, ages beside what has one.

What must never be here: colour that carries meaning alone, and a judgement that is not in the value.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import UnsetType

from failover.errors import FailoverError
from failover.model.journal import JournalLine, RunView
from failover.model.plan import Plan, Refusal, Step
from failover.model.run_report import PreviewShown, RunReport, StepEnd
from failover.model.status import ShippingStatus, SiteStatus, Status
from failover.model.units import format_duration
from failover.render.findings import findings_text


def table(rows: Sequence[Sequence[str]]) -> str:
    """Columns of the widths they need; the first row is the head."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "".join(f"{line}\n" for line in lines)


def plan_text(plan: Plan) -> str:
    """The plan as it is approved: steps in order, hazards, promise, what was measured, the digest."""
    lines = [f"{plan.verb}: {plan.summary}\n"]
    if plan.empty:
        return f"{lines[0]}nothing to do\n" + "".join(f"measured: {fact}\n" for fact in plan.measured)
    for number, step in enumerate(plan.steps, start=1):
        lines.append(f"{number:3}. {step.title}{_marks(step)}\n")
    lines.extend(f"hazard: {hazard}\n" for hazard in plan.hazards)
    if plan.promise:
        lines.append(f"promise: {plan.promise}\n")
    lines.extend(f"measured: {fact}\n" for fact in plan.measured)
    lines.append(f"plan {plan.digest}\n")
    return "".join(lines)


def refusal_text(refusal: Refusal) -> str:
    """The no, with every reason and what to do about it."""
    return f"{refusal.summary}\n{findings_text(refusal.findings)}"


def status_text(view: Status) -> str:
    """The table of ``status``, the record, and the remarks."""
    head = ("SITE", "PROVIDER", "ROLE", "STATE", "LAG", "EXPOSURE", "GATE", "SEEN", "DOING")
    rows = [head, *(_site_row(site) for site in view.sites)]
    record = view.record
    if record is None:
        told = f"record: unknown ({view.record_error})" if view.record_error else "record: none yet"
    else:
        move = f", move: {record.move}" if record.move else ""
        sync = ", ".join(record.sync) or "nobody"
        told = f"record: epoch {record.epoch}, primary {record.primary}, sync {sync}{move}"
    proven = view.proven_restore_age_s
    restore = "last proven restore: " + ("unknown" if proven is None else f"{format_duration(proven)} ago")
    head_line = f"{view.fleet}: {view.status}: {view.summary}"
    if view.unprotected_s:
        told += f"\nunprotected: {format_duration(view.unprotected_s)} since this primary's agent started"
    restore += "" if isinstance(view.shipping, UnsetType) else f"\n{_shipping(view.shipping)}"
    return f"{head_line}\n{table(rows)}{told}\n{restore}\n{findings_text(view.findings)}"


def _shipping(shown: ShippingStatus) -> str:
    """What a loss of every database at once would cost now."""
    if shown.exposure_bytes is None or shown.exposure_s is None:
        told = f"unknown ({shown.error})" if shown.error else "unknown"
    else:
        told = f"{shown.exposure_bytes} B, {format_duration(shown.exposure_s)}" if shown.exposure_bytes else "0 B"
        told += f" ({shown.error})" if shown.error else ""
    since = f"; two stores have everything before {shown.acknowledged_lsn}" if shown.acknowledged_lsn else ""
    return f"not in two stores yet: {told}{since}"


def run_text(report: RunReport) -> str:
    """How a run ended."""
    took = format_duration(report.seconds_s)
    lines = [f"{report.verb} {report.state} in {took}: {report.summary} (run {report.run})\n"]
    lines.extend(f"  {step.outcome:9} {step.title}{_end(step)}\n" for step in report.steps)
    lines.extend(f"missed: {one}\n" for one in report.missed)
    lines.extend(f"at risk before: {one}\n" for one in (report.at_risk,) if one)
    lines.extend(f"lost: {one}\n" for one in report.lost)
    text = "".join(lines)
    return text if report.after is None else f"{text}{status_text(report.after)}"


def error_text(error: FailoverError) -> str:
    """What went wrong, where, and what to type next."""
    hint = f"    {error.hint}\n" if error.hint else ""
    return f"error {error.code}: {error}\n{hint}"


def runs_text(runs: Iterable[RunView]) -> str:
    """``journal list``."""
    rows = [("RUN", "STATE", "STARTED", "OWNER", "SUMMARY")]
    rows.extend((run.run, run.state.value, run.started_at, run.owner, run.summary) for run in runs)
    return table(rows) if len(rows) > 1 else "no runs yet\n"


def journal_text(run: RunView, lines: Iterable[JournalLine]) -> str:
    """``journal show RUN``."""
    committed = ", commit step begun" if run.committed else ""
    text = f"{run.run}: {run.summary}\n{run.state.value}{committed}, plan {run.digest}, by {run.owner}\n"
    return text + "".join(_journal_line(line) for line in lines)


def previews_text(shown: PreviewShown) -> str:
    """What the stacks would change."""
    text = ""
    for site in shown.sites:
        changes = [change for change in site.changes if change.operation != "same"]
        text += f"{site.site}: " + ("unchanged\n" if not changes else f"{len(changes)} changes\n")
        for change in changes:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            text += f"  {change.operation:8} {change.resource}{fields}\n"
    return text + "".join(f"{site}: unknown: {why}\n" for site, why in shown.failed.items())


def _marks(step: Step) -> str:
    marks = [mark for mark, there in (("COMMIT", step.commit), ("may fail", not step.required)) if there]
    return f"  [{', '.join(marks)}]" if marks else ""


def _site_row(site: SiteStatus) -> tuple[str, ...]:
    return (
        site.name,
        site.provider,
        site.role,
        site.state,
        _bytes(site.lag_bytes, site),
        _exposure(site),
        site.gate,
        "never" if site.seen_s_ago is None else f"{format_duration(site.seen_s_ago)} ago",
        site.error or site.doing,
    )


def _bytes(value: int | None, site: SiteStatus) -> str:
    if site.role in ("primary", "witness"):
        return "-"
    return "unknown" if value is None else f"{value} B"


def _exposure(site: SiteStatus) -> str:
    if site.role == "witness":
        return "-"
    return "unknown" if site.exposure_s is None else f"{site.exposure_s:g} s"


def _end(step: StepEnd) -> str:
    took = f", {format_duration(step.seconds_s)}" if step.performed else ""
    return f": {step.detail}{took}" if step.detail else took


def _journal_line(line: JournalLine) -> str:
    outcome = f" {line.outcome.value}" if line.outcome is not None else ""
    took = f" in {format_duration(line.seconds)}" if line.seconds is not None else ""
    undoing = "undo " if line.undoing else ""
    head = f"{line.sequence:4} {line.at} {undoing}{line.kind}{outcome} {line.step or line.title}{took}"
    return f"{head}  {line.detail}".rstrip() + "\n"
