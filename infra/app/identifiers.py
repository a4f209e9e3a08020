"""Identifiers made by the app, so that an answer is known before the statement runs.

Must never be here: secrets (these are not unguessable).
"""

from __future__ import annotations

import os
import time
import uuid
from datetime import UTC, datetime


def new_id() -> uuid.UUID:
    """A version 7 UUID: it grows with time, so index pages fill in order."""
    milliseconds = time.time_ns() // 1_000_000
    tail = int.from_bytes(os.urandom(10))
    value = milliseconds << 80 | 0x7 << 76 | (tail >> 68) << 64 | 0b10 << 62 | tail & ((1 << 62) - 1)
    return uuid.UUID(int=value)


def instant_text(at: datetime) -> str:
    """RFC 3339, UTC, milliseconds, as everywhere in the answers."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"
