"""Who carries a run out, and whether that process still lives.

What must never be here: whether a run may be taken over; the fleet's lease decides that. A dead owner only explains
why a run rests as "running".
"""

from __future__ import annotations

import getpass
import os
import socket
from pathlib import Path

from failover.ports.journal import Owner

_STARTED_FIELD = 19  # of /proc/PID/stat, counted after the closing bracket of the name (proc(5), field 22)


def this_process() -> Owner:
    """This process, as the journal and a lease name it."""
    pid = os.getpid()
    return Owner(user=_user(), host=socket.gethostname(), pid=pid, start_ticks=_start_ticks(pid) or 0)


def is_alive(owner: Owner) -> bool | None:
    """Whether that very process runs; ``None`` when it belongs to another host and cannot be known here."""
    if owner.host != socket.gethostname():
        return None
    return _start_ticks(owner.pid) == owner.start_ticks


def _start_ticks(pid: int) -> int | None:
    try:
        content = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = content.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[_STARTED_FIELD])


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return str(os.getuid())
