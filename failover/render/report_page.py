"""A drill's report as one HTML page that needs nothing else: no script, no font, no host. Pure.

Must never be here: the words of the verdict (report_words), drawing (plots).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from failover.model.report import DrillReport
from failover.render.report_style import CSS
from failover.render.report_words import (
    UNKNOWN,
    Tile,
    beside,
    count,
    duration,
    limit,
    measured,
    quantity,
    tiles,
    verdict,
)

NO_PLOTS = "The plots need matplotlib: <code>pip install 'failover[report]'</code>. All figures are below."


def page(report: DrillReport, plots: Sequence[tuple[str, str]] | None) -> str:
    """The whole page. ``plots``: heading and SVG of each, ``None`` when nothing can draw them."""
    headline, sentence = verdict(report)
    parts = [
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(headline)}</title><style>{CSS}</style></head><body>",
        f'<header class="{"held" if report.held else "missed"}">',
        f"<h1>{escape(headline)}</h1><p>{escape(sentence)}</p></header>",
        f'<p class="about">{_about(report)}</p>',
        f'<dl class="tiles">{"".join(map(_tile, tiles(report)))}</dl>',
        _remarks(report.remarks),
        "<h2>Objectives</h2>",
        _objectives(report),
        *([f"<p>{NO_PLOTS}</p>"] if plots is None else map(_figure, plots)),
        '<div class="two">',
        _section("Load", _load_rows(report)),
        _section("Ledger against the final primary", _ledger_rows(report)),
        _section("Move", _move_rows(report)),
        _section("App", beside(report)),
        _section("Phases", [(one.name, f"{one.seconds:.3f} s from {one.started_s:.3f} s") for one in report.phases]),
        _section("Versions", sorted(report.versions.items())),
        "</div>",
        _dead_side(report),
        f"<footer>{escape(report.schema)}; the same figures for programs: report.json. Every request: "
        "ledger.jsonl.zst. Latency counts from the instant a request was due, whether or not it could leave then.",
        "</footer>",
        "</body></html>\n",
    ]
    return "\n".join(part for part in parts if part)


def _about(report: DrillReport) -> str:
    return (
        f"Drill <b>{escape(report.id)}</b>, begun {escape(report.started_at)}, seed {report.seed}; primary "
        f"{escape(report.primary.before)} → {escape(report.primary.after)}, "
        f"{quantity(report.load.offered_per_s, 'requests/s')} offered."
    )


def _tile(tile: Tile) -> str:
    kind = "" if tile.good is None else ' class="good"' if tile.good else ' class="bad"'
    return f"<div{kind}><dt>{escape(tile.name)}</dt><dd>{escape(tile.value)}</dd></div>"


def _remarks(remarks: Sequence[str]) -> str:
    if not remarks:
        return ""
    return '<ul class="remarks">' + "".join(f"<li>{escape(remark)}</li>" for remark in remarks) + "</ul>"


def _objectives(report: DrillReport) -> str:
    names = '<th>objective</th><th class="n">limit</th><th class="n">measured</th><th class="n">held</th>'
    rows = [f"<table><tr>{names}</tr>"]
    # What was missed comes first: nobody should have to look for it.
    for one in sorted(report.objectives, key=lambda objective: objective.held):
        kind = "" if one.held else ' class="missed"'
        state = '<td class="n held">✓ held</td>' if one.held else '<td class="n no">✗ missed</td>'
        figures = "".join(f'<td class="n">{escape(text)}</td>' for text in (limit(one), measured(one)))
        row = f"<td>{escape(one.name)}</td>{figures}"
        rows.append(f"<tr{kind}>{row}{state}</tr>")
    return "".join(rows) + "</table>"


def _figure(plot: tuple[str, str]) -> str:
    heading, svg = plot
    return f'<h2>{escape(heading)}</h2><figure aria-label="{escape(heading)}">{svg}</figure>'


def _section(heading: str, rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(f'<tr><td>{escape(name)}</td><td class="n">{escape(value)}</td></tr>' for name, value in rows)
    return f"<section><h2>{escape(heading)}</h2><table>{cells}</table></section>" if cells else ""


def _load_rows(report: DrillReport) -> list[tuple[str, str]]:
    load, pause = report.load, report.write_pause_ms
    return [
        ("requests", count(load.requests)),
        ("acknowledged", count(load.acknowledged)),
        ("errors (after retries)", count(load.errors)),
        ("of these ambiguous: perhaps done", count(load.ambiguous)),
        ("requests whose first attempt failed", count(load.first_attempt_failed)),
        ("attempts that failed and were tried again", count(load.retried)),
        ("latency p50 / p99", f"{load.latency_ms.p50:.1f} / {load.latency_ms.p99:.1f} ms"),
        ("latency, slowest", duration(load.latency_ms.max / 1000)),
        ("write pause, longest / p99", f"{pause.longest:.0f} / {pause.p99:.0f} ms"),
        (f"write pauses of {pause.threshold_ms:.0f} ms or more", count(pause.count)),
    ]


def _ledger_rows(report: DrillReport) -> list[tuple[str, str]]:
    ledger = report.ledger
    return [
        ("writes acknowledged to a client", count(ledger.acknowledged_writes)),
        ("acknowledged and lost", count(ledger.lost)),
        ("stored more than once", count(ledger.duplicated)),
        ("stored without acknowledgement (allowed)", count(ledger.unacknowledged_but_present)),
        ("stored and never sent", count(ledger.unknown)),
    ]


def _move_rows(report: DrillReport) -> list[tuple[str, str]]:
    exposure, dns = report.exposure, report.dns
    before, after = (UNKNOWN if epoch is None else str(epoch) for epoch in (report.epoch.before, report.epoch.after))
    stated = [
        *([quantity(exposure.stated_before_bytes, "bytes")] if exposure.stated_before_bytes is not None else []),
        *([duration(exposure.stated_before_s)] if exposure.stated_before_s is not None else []),
    ]
    return [
        ("primary", f"{report.primary.before} → {report.primary.after}"),
        ("epoch", f"{before} → {after}"),
        ("detected after", duration(report.detection_s)),
        ("first acknowledged write after", duration(report.recovery_time_s)),
        ("exposure stated before", " / ".join(stated) or UNKNOWN),
        ("writes lost", UNKNOWN if exposure.lost_writes is None else count(exposure.lost_writes)),
        ("DNS servers correct, of those alive", f"{dns.servers_correct} of {dns.servers_alive}"),
        ("DNS correct after", duration(dns.seconds_to_correct)),
        ("protected again after", duration(report.reprotected_s)),
    ]


def _dead_side(report: DrillReport) -> str:
    if not report.dead_side.log:
        return ""
    lines = "".join(f"<li><code>{escape(line)}</code></li>" for line in report.dead_side.log[:50])
    return f"<h2>Calls to the dead side</h2><ul>{lines}</ul>"
