"""Which transaction was the first to end after an instant, read from WAL files. Replay itself can stop at a time, but
ends with an error only after it has replayed everything, and cannot say beforehand what is there."""

from __future__ import annotations

import os
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from failover.adapters.programs import command_line
from failover.model.units import Lsn, format_lsn, parse_lsn

_END = re.compile(
    r"\blsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+),.*?\bdesc: (?:COMMIT|ABORT)(?:_PREPARED)? "
    r"(?:.*?: )?(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?) UTC"
)


def first_end_after(wal: Path, *, timeline: int, start: Lsn, moment: datetime) -> Lsn:
    """See ``ports.scratch``. Reads no further than the record it finds."""
    command, extra = command_line(
        (
            "pg_waldump", "--path", str(wal), "--timeline", str(timeline), "--start", format_lsn(start),
            "--rmgr", "Transaction",
        ),
        as_database=False,
    )  # fmt: skip
    environment = {**os.environ, **extra, "LC_ALL": "C", "TZ": "UTC"}
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    )
    assert process.stdout is not None
    with process.stdout as lines:
        found = next((at for line in lines if (at := ended_at(line)) is not None and at[1] > moment), None)
    # It ends with 1 where the WAL ends, always.
    process.kill()
    process.wait()
    return found[0] if found is not None else 0


def ended_at(line: str) -> tuple[Lsn, datetime] | None:
    """Where the record begins and when its transaction ended; ``None`` for any other record."""
    match = _END.search(line)
    if match is None:
        return None
    text = match["at"]
    form = "%Y-%m-%d %H:%M:%S.%f" if "." in text else "%Y-%m-%d %H:%M:%S"
    return parse_lsn(match["lsn"]), datetime.strptime(text, form).replace(tzinfo=UTC)
