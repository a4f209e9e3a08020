"""Reads a file of declarations as text: present, small, UTF-8, without characters nobody can see.

What must never be here: YAML. The text handed on has only characters that every editor counts alike, so the line and
column of a finding are the ones the operator sees.
"""

from __future__ import annotations

import re
from pathlib import Path

from failover.config.problems import Problems
from failover.model.finding import Severity

MOST_BYTES = 256 * 1024

# YAML counts NEL, LS and PS as ends of lines and editors do not: every line number after one would be wrong.
_UNSEEN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff\ud800-\udfff]|\r(?!\n)|(?<!\A)\ufeff"
)


def read_text(path: Path, problems: Problems) -> str | None:
    """The text of ``path``, or ``None`` after reporting why there is none. Reads at most ``MOST_BYTES`` + 1."""
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as failure:
        hint = (
            "failover init --local writes one"
            if isinstance(failure, FileNotFoundError)
            else "check the path and its mode"
        )
        problems.add(Severity.ERROR, "unreadable", None, f"{path}: cannot be read: {failure.strerror}", hint)
        return None
    return check_text(data, problems)


def check_text(data: bytes, problems: Problems) -> str | None:
    """The text of ``data``, or ``None`` after reporting why it is none."""
    if len(data) > MOST_BYTES:
        message = f"the file is larger than {MOST_BYTES // 1024} KiB"
        problems.add(
            Severity.ERROR, "too-big", problems.here(1, 1), message, "a fleet file is a few KiB: is it this one?"
        )
        return None
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as failure:
        line, column = _line_column(data[: failure.start].decode("utf-8"))
        message = f"byte 0x{data[failure.start]:02x} is not UTF-8"
        problems.add(Severity.ERROR, "not-utf8", problems.here(line, column), message, "save the file as UTF-8")
        return None
    unseen = list(_UNSEEN.finditer(text))
    for found in unseen[:20]:
        line, column = _line_column(text[: found.start()])
        message = f"character U+{ord(found[0]):04X} may not stand here"
        problems.add(Severity.ERROR, "bad-character", problems.here(line, column), message, "remove it")
    return None if unseen else text.removeprefix("\ufeff")


def _line_column(before: str) -> tuple[int, int]:
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
