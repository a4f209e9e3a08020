"""Compares text with a file of ``golden/``. Run with FAILOVER_GOLDEN=write to write what is said now, then read it."""

from __future__ import annotations

import os
import re
from pathlib import Path

FOLDER = Path(__file__).parent / "golden"
_VARYING = (
    (re.compile(r"\b\d+(\.\d+)? (ms|s|min)\b"), "# s"),
    (re.compile(r'"(seconds_s|seconds|seen_s_ago)":[0-9.e-]+'), r'"\1":0.0'),
    (re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
    (re.compile(r"missing-\d{8}T\d{6}Z"), "missing-TIME"),
    (re.compile(r"[\w.-]+@[\w.-]+ pid \d+"), "USER@HOST pid PID"),
    (re.compile(r"(?<=\S) {2,}"), "  "),  # columns are as wide as what varies
)


def plain(text: str, *, folder: Path | None = None) -> str:
    """``text`` without what differs from run to run."""
    if folder is not None:
        text = text.replace(str(folder), "FOLDER")
    for pattern, stands in _VARYING:
        text = pattern.sub(stands, text)
    return text


def same(name: str, text: str) -> None:
    """Fails with both texts when they differ."""
    path = FOLDER / f"{name}.txt"
    if os.environ.get("FAILOVER_GOLDEN") == "write":
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is missing; this is the text now:\n{text}"
    assert text == path.read_text(encoding="utf-8"), f"{path.name} differs"
