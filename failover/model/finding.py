"""A remark of validation, preflight, check or audit: how bad, about what, where, and what to do."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Severity(StrEnum):
    """``error`` refuses, ``warning`` is shown and counted, ``note`` is shown."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in a file: 1-based line and column."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """``code`` is stable (``unknown-key``); ``message`` says what and why; ``hint`` is what to type or write."""

    code: str
    severity: Severity
    message: str
    hint: str = ""
    place: Place | None = None
    site: str = ""
