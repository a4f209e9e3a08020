"""Writes a drill's report: ``report.json`` for programs, ``report.html`` for people.

The JSON is written first and needs nothing but the standard parts: a drill that ran must never lose its figures to a
missing plotting library. Must never be here: what the figures mean, how they were measured.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from failover.model.report import DrillReport, DrillSeries
from failover.render.report_page import page

JSON_NAME = "report.json"
HTML_NAME = "report.html"


def write_report(folder: Path, report: DrillReport, series: DrillSeries) -> Path:
    """Write both files into ``folder`` (which exists) and return the page's path. Repeatable: each file is replaced
    as a whole. Raises ``OSError``."""
    _replace(folder / JSON_NAME, report_json(report))
    html = folder / HTML_NAME
    _replace(html, page(report, _plots(report, series)).encode())
    return html


def report_json(report: DrillReport) -> bytes:
    """The report as ``failover/drill/v1``: one object, indented, ``schema`` first."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _plots(report: DrillReport, series: DrillSeries) -> list[tuple[str, str]] | None:
    """Heading and SVG of each plot; ``None`` without the extra ``report``."""
    try:
        # Half a second of import and an optional extra: only whoever writes a report pays for it.
        from failover.render.plots import around_the_fault, drill_plots
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("matplotlib", "numpy"):
            raise
        return None
    plots = [("The whole drill", drill_plots(report, series))]
    window = around_the_fault(report)
    if window is not None:
        heading = "Around the fault" if report.kind != "switchover" else "Around the move"
        plots.insert(0, (heading, drill_plots(report, series, window=window)))
    return plots


def _replace(path: Path, content: bytes) -> None:
    new = path.with_name(f".{path.name}.new")
    new.write_bytes(content)
    os.replace(new, path)
