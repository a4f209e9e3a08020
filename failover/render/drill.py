"""A drill's report as text: the verdict, the objectives, where the pages are."""

from __future__ import annotations

from failover.model.report import DrillReport
from failover.render.report_words import beside, limit, measured, tiles, verdict
from failover.render.text import table


def drill_text(report: DrillReport, folder: str) -> str:
    """What a person reads first."""
    first, second = verdict(report)
    lines = [first, second, ""]
    lines.append(table([("FIGURE", "VALUE"), *((tile.name, tile.value) for tile in tiles(report))]))
    if report.objectives:
        rows = [(one.name, limit(one), measured(one), "held" if one.held else "MISSED") for one in report.objectives]
        lines.append(table([("OBJECTIVE", "LIMIT", "MEASURED", ""), *rows]))
    lines.extend(f"{name}: {text}" for name, text in beside(report))
    lines.extend(f"remark: {remark}" for remark in report.remarks)
    lines.append(f"report: {folder}/report.html")
    return "\n".join(lines) + "\n"
