"""Findings as text: one line each, its hint below; with the line of the file and a caret when the text is given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from failover.model.finding import Finding, Place, Severity

_WIDEST = 110


def findings_text(findings: Iterable[Finding], *, sources: Mapping[str, str] | None = None) -> str:
    """``file:line:column: severity code: message``, then ``    hint``, for each finding, in the order given.

    ``sources`` maps the name of a file, as the findings have it, to its text: the line and a caret are then shown
    between the two. Ends with a line end unless there is nothing to say.
    """
    lines: list[str] = []
    for finding in findings:
        place = f"{finding.place}: " if finding.place is not None else ""
        lines.append(f"{place}{finding.severity} {finding.code}: {finding.message}")
        if finding.place is not None and sources is not None:
            lines.extend(_excerpt(finding.place, sources.get(finding.place.file)))
        if finding.hint:
            lines.append(f"    {finding.hint}")
    return "".join(f"{line}\n" for line in lines)


def findings_summary(findings: Iterable[Finding]) -> str:
    """``3 errors, 1 warning``, or ``no problems``."""
    counts = Counter(finding.severity for finding in findings)
    parts = [
        f"{counts[severity]} {severity}{'' if counts[severity] == 1 else 's'}"
        for severity in Severity
        if counts[severity]
    ]
    return ", ".join(parts) or "no problems"


def _excerpt(place: Place, text: str | None) -> list[str]:
    """The line with a caret below the column; a long line is cut around the caret."""
    lines = [] if text is None else text.split("\n")
    if not place.line <= len(lines):
        return []
    line = "".join(letter if letter.isprintable() else "·" for letter in lines[place.line - 1].removesuffix("\r"))
    column = min(place.column - 1, len(line))
    start = max(0, column - _WIDEST // 2) if len(line) > _WIDEST else 0
    number = str(place.line)
    margin = " " * len(number)
    return [f"    {number} | {line[start : start + _WIDEST]}", f"    {margin} | {' ' * (column - start)}^"]
