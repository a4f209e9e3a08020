"""The plots of a drill's report as inline SVG: phases, acknowledged writes per bucket, latency. Needs extra ``report``.

Every colour is a CSS variable of the page, so that the same drawing is legible light and dark; text stays text.
Must never be here: HTML around the plots, figures that are not drawn.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from failover.model.report import DrillReport, DrillSeries, Mark, Phase

Window = tuple[float, float]

# Stand-ins that no plot uses for itself; each becomes var(--name) in the SVG.
_COLOURS = {
    "ink": "#010203",
    "faint": "#010204",
    "grid": "#010205",
    "write": "#010206",
    "read": "#010207",
    "bad": "#010208",
    "phase": "#010209",
}
_WIDTH_IN = 9.6
LABEL_X = -0.1


def drill_plots(report: DrillReport, series: DrillSeries, *, window: Window | None = None) -> str:
    """One SVG: phases over writes over latency, on one time axis. ``window`` cuts out a part of it, in seconds."""
    span = window or _whole(report, series)
    phases = [one for one in report.phases if one.started_s < span[1] and one.started_s + one.seconds > span[0]]
    heights = [0.24 * len(phases) + 0.1, 1.6, 2.2] if phases else [1.6, 2.2]
    with mpl.rc_context(_settings(salt=f"{report.id}:{span}")):
        figure = Figure(figsize=(_WIDTH_IN, sum(heights) + 1.25))
        rows = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        if phases:
            _draw_phases(rows[0], phases, span)
        _draw_writes(rows[-2], series, span)
        _draw_latency(rows[-1], series, span)
        for row in rows:
            _draw_marks(row, series.marks, span, label=row is rows[0])
        rows[-1].set_xlim(*span)
        rows[-1].set_xlabel("seconds since the start")
        figure.subplots_adjust(left=0.2, right=0.985, top=1 - 0.3 / figure.get_figheight(), bottom=0.075, hspace=0.12)
        return _as_inline(figure)


def around_the_fault(report: DrillReport) -> Window | None:
    """The stretch that matters: from a second before the fault until service was back, and as long again."""
    if report.fault_s is None:
        return None
    outage_s = max(report.recovery_time_s or 0.0, report.write_pause_ms.longest / 1000, 0.5)
    return max(report.fault_s - 1.0, 0.0), report.fault_s + 2 * outage_s + 1.0


def _settings(*, salt: str) -> dict[Any, Any]:
    # Any: the library types its keys by a list that differs from version to version.
    ink, faint, grid = _COLOURS["ink"], _COLOURS["faint"], _COLOURS["grid"]
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": salt,
        "font.size": 9,
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": faint,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.color": grid,
        "grid.linewidth": 0.6,
        "axes.axisbelow": True,
        "xtick.color": faint,
        "ytick.color": faint,
        "xtick.labelcolor": ink,
        "ytick.labelcolor": ink,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
    }


def _whole(report: DrillReport, series: DrillSeries) -> Window:
    ends = [len(series.acknowledged_writes) * series.bucket_s]
    ends += [phase.started_s + phase.seconds for phase in report.phases]
    return 0.0, max(*ends, series.bucket_s)


def _draw_phases(axes: Axes, phases: Sequence[Phase], span: Window) -> None:
    width_s = span[1] - span[0]
    for row, phase in enumerate(phases):
        begin, end = max(phase.started_s, span[0]), min(phase.started_s + phase.seconds, span[1])
        axes.barh(row, max(end - begin, width_s * 0.002), left=begin, height=0.62, color=_COLOURS["phase"], linewidth=0)
        text = f"{phase.seconds:.2f} s" if phase.seconds < 10 else f"{phase.seconds:.1f} s"
        late = end > span[0] + 0.88 * width_s
        place, align = (begin - 0.006 * width_s, "right") if late else (end + 0.006 * width_s, "left")
        axes.text(place, row, text, va="center", ha=align, fontsize=8)
    axes.set_yticks(range(len(phases)), [phase.name for phase in phases])
    axes.set_ylim(len(phases) - 0.4, -0.6)
    axes.tick_params(length=0)
    axes.grid(visible=False, axis="y")


def _draw_writes(axes: Axes, series: DrillSeries, span: Window) -> None:
    width_s = series.bucket_s
    first = max(int(span[0] / width_s), 0)
    counts = series.acknowledged_writes[first : int(span[1] / width_s) + 1]
    edges = [round((first + index) * width_s, 6) for index in range(len(counts) + 1)]
    axes.stairs(counts, edges, fill=True, color=_COLOURS["write"], linewidth=0, label="acknowledged writes")
    failed = [
        (index * width_s + width_s / 2, count)
        for index, count in enumerate(series.failed_attempts)
        if count and span[0] <= index * width_s <= span[1]
    ]
    if failed:
        axes.plot(
            *zip(*failed, strict=True), linestyle="", marker="x", markersize=4.5, color=_COLOURS["bad"],
            label="failed attempts (tried again)",
        )  # fmt: skip
    axes.yaxis.set_label_coords(LABEL_X, 0.5)
    axes.set_ylabel(f"writes per\n{series.bucket_s * 1000:.0f} ms")
    top = _top(counts)
    axes.set_ylim(0, top)
    for place, value in _above(counts, top):
        axes.annotate(
            f"↑ {value}", (edges[place + 1], 1), xycoords=("data", "axes fraction"), xytext=(3, -8),
            textcoords="offset points", fontsize=8,
        )  # fmt: skip
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    _legend(axes, markerscale=1)


def _top(counts: Sequence[int]) -> float:
    """Room for the usual rate. The crowd let in after an outage would flatten everything else; it is cut off and its
    size written beside it."""
    usual = sorted(count for count in counts if count)
    return max(4.0 * usual[len(usual) // 2], 10.0) if usual else 10.0


def _above(counts: Sequence[int], top: float) -> list[tuple[int, int]]:
    """Where a bar is cut off, and what it counts: the largest of each row of neighbours."""
    found: list[tuple[int, int]] = []
    for place, value in enumerate(counts):
        if value <= top:
            continue
        if found and place - found[-1][0] <= len(counts) // 20 + 1:
            found[-1] = max(found[-1], (place, value), key=lambda one: one[1])
        else:
            found.append((place, value))
    return found


def _draw_latency(axes: Axes, series: DrillSeries, span: Window) -> None:
    inside = [point for point in series.latency if span[0] <= point.at_s <= span[1]]
    groups = (
        ("reads", "read", [p for p in inside if p.acknowledged and not p.write], "o", 2.4),
        ("writes", "write", [p for p in inside if p.acknowledged and p.write], "o", 2.4),
        ("failed for good", "bad", [p for p in inside if not p.acknowledged], "x", 6.0),
    )
    axes.set_yscale("log")
    for label, colour, points, marker, size in groups:
        if points:
            axes.plot(
                [point.at_s for point in points], [max(point.latency_ms, 0.1) for point in points], linestyle="",
                marker=marker, markersize=size, markeredgewidth=0 if marker == "o" else 1.4, color=_COLOURS[colour],
                alpha=0.75 if marker == "o" else 1, label=label,
            )  # fmt: skip
    axes.yaxis.set_major_locator(LogLocator(base=10, numticks=9))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _milliseconds(value)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: ""))
    axes.yaxis.set_label_coords(LABEL_X, 0.5)
    axes.set_ylabel("latency, from when\nthe request was due")
    if inside:
        _legend(axes, markerscale=2)


def _draw_marks(axes: Axes, marks: Sequence[Mark], span: Window, *, label: bool) -> None:
    for mark in marks:
        if not span[0] <= mark.at_s <= span[1]:
            continue
        axes.axvline(mark.at_s, color=_COLOURS["bad"], linewidth=1.2, linestyle=(0, (4, 2)))
        if label:
            late = mark.at_s > span[0] + 0.8 * (span[1] - span[0])
            axes.annotate(
                mark.name, (mark.at_s, 1), xycoords=("data", "axes fraction"), xytext=(-3 if late else 3, 3),
                textcoords="offset points", ha="right" if late else "left", color=_COLOURS["bad"], fontweight="bold",
            )  # fmt: skip


def _legend(axes: Axes, *, markerscale: float) -> None:
    """One line above the axes, where no data are."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 0.985), ncols=3, borderaxespad=0.1, handlelength=1.2,
        markerscale=markerscale,
    )  # fmt: skip


def _milliseconds(value: float) -> str:
    return f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"


def _as_inline(figure: Figure) -> str:
    """The bare <svg> element: no XML head, no metadata, no fixed size, colours by name."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'(<svg\b[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg\b[^>]*?) width="[^"]*"', r'\1 role="img"', svg, count=1)
    svg = re.sub(r"font: ((?:bold )?[\d.]+px)[^;\"]*", r"font: \1 var(--font)", svg)
    for name, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{name})")
    return svg
