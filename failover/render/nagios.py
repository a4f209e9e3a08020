"""``check`` for monitors: one Nagios line with performance data, or Prometheus text. A figure not known is left out of
Nagios (its grammar has no word for it) and is ``NaN`` for Prometheus."""

from __future__ import annotations

from failover.model.status import Figure, Level, Verdict

_UNITS = {"": "", "s": "s", "B": "B"}


def nagios_text(verdict: Verdict) -> str:
    """``STATUS: text | metric=value``; every remark on a line of its own below, as the plug-in guidelines say."""
    data = " ".join(_datum(figure) for figure in verdict.figures if figure.value is not None)
    first = f"FAILOVER {verdict.level.name}: {_plain(verdict.summary)}"
    lines = [f"{first} | {data}" if data else first]
    lines.extend(
        _plain(f"{finding.severity.value} {finding.code}: {finding.message}. {finding.hint}".rstrip(". "))
        for finding in verdict.findings
    )
    return "".join(f"{line}\n" for line in lines)


def prometheus_text(verdict: Verdict) -> str:
    """Gauges. ``failover_check_status`` is the exit status of ``check``; ``failover_up``: 1 for OK and WARNING."""
    up = verdict.level in (Level.OK, Level.WARNING)
    lines = [
        *_head("failover_check_status", "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN"),
        f"failover_check_status {int(verdict.level)}",
        *_head("failover_up", "1 when the fleet serves, as far as is known"),
        f"failover_up {int(up)}",
        *_head("failover_findings", "remarks of this check"),
        f"failover_findings {len(verdict.findings)}",
    ]
    for name in dict.fromkeys(figure.name for figure in verdict.figures):
        metric = _metric(name)
        lines += _head(metric, name.replace("_", " "))
        for figure in verdict.figures:
            if figure.name == name:
                label = f'{{site="{figure.site}"}}' if figure.site else ""
                lines.append(f"{metric}{label} {_number(figure.value)}")
    return "".join(f"{line}\n" for line in lines)


def _datum(figure: Figure) -> str:
    name = f"{figure.site}_{figure.name}" if figure.site else figure.name
    return f"{name}={_number(figure.value)}{_UNITS[figure.unit]}"


def _number(value: float | None) -> str:
    return "NaN" if value is None else f"{value:g}" if abs(value) < 1e6 else f"{value:.0f}"


def _plain(text: str) -> str:
    """``|`` begins the performance data, so it may not stand in a text."""
    return text.replace("|", "/").replace("\n", " ")


def _metric(name: str) -> str:
    return f"failover_{name.removesuffix('_s')}_seconds" if name.endswith("_s") else f"failover_{name}"


def _head(metric: str, text: str) -> list[str]:
    return [f"# HELP {metric} {text}", f"# TYPE {metric} gauge"]
