"""Prints the newest drill reports of a folder as a table: script/reports.py FOLDER [COUNT]."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f} ms"


def row(report: dict[str, Any]) -> list[str]:
    load, ledger, pause = report.get("load") or {}, report.get("ledger") or {}, report.get("write_pause_ms") or {}
    recovery = report.get("recovery_time_s")
    return [
        f"{report['kind']} {report['site']}",
        str(load.get("requests", "-")),
        str(load.get("errors", "-")),
        str(ledger.get("lost", "-")),
        str(ledger.get("duplicated", "-")),
        ms(pause.get("longest")),
        "-" if recovery is None else f"{recovery:.2f} s",
        str((report.get("dead_side") or {}).get("calls", "-")),
        "held" if report["held"] else "MISSED",
    ]


def main() -> int:
    folder, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 10
    reports = [(json.loads(path.read_text()), path) for path in folder.glob("*/report.json")]
    newest = sorted(reports, key=lambda found: found[0]["started_at"])[-count:]
    if not newest:
        print(f"no reports in {folder}", file=sys.stderr)
        return 8
    head = [
        "drill",
        "requests",
        "errors",
        "lost",
        "doubled",
        "write pause",
        "recovery",
        "calls to the dead",
        "objectives",
    ]
    table = [head, *(row(report) for report, _ in newest)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    print()
    for report, path in newest:
        print(f"{report['kind']} {report['site']}: {path.with_name('report.html')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
