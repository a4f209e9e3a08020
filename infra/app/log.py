"""Structured lines on stderr: one JSON object a line, warnings and worse unless told otherwise.

Must never be here: request bodies, tokens, passwords, connection strings; and nothing is logged per request.
"""

from __future__ import annotations

import json
import logging
import sys
import traceback
from datetime import UTC, datetime


class _JsonLines(logging.Formatter):
    def __init__(self, *, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["trace"] = "".join(traceback.format_exception(record.exc_info[1]))
        return json.dumps(line, ensure_ascii=False)


def set_up(*, process: str, level: str) -> None:
    """Send every logger of this process to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines(process=process))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # psycopg warns about a rollback on a socket we closed on purpose; the pool says once per outage what matters.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
