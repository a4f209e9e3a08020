"""Runs a command; when it ends, nothing it started is alive. A left-over process is a failure of its own.

Orphans of detached services come back to this process (it is their subreaper), so that even a child that made its own
session is found. Its status is the command's, or 1 if that was 0 and something had to be ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
GRACE_S = 5.0


def children(of: int) -> list[tuple[int, str]]:
    """Living descendants of a process with their command lines; zombies are reaped elsewhere and not listed."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # ended between the listing and the reading
            continue
        if fields[0] not in "ZX":
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found, todo = [], [of]
    while todo:
        for pid in parents.get(todo.pop(), []):
            todo.append(pid)
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue
            found.append((pid, line))
    return found


def reap() -> None:
    """Collects every ended child; blocks never."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def end(pids: list[int], how: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, how)


def main() -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    child = subprocess.Popen(sys.argv[1:], start_new_session=True)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda number, _: os.killpg(child.pid, number))
    # Orphans are reaped as they come: a killed PostgreSQL that stays a zombie keeps the next one from starting.
    pid = 0
    while pid != child.pid:
        pid, ended = os.waitpid(-1, 0)
    child.returncode = status = os.waitstatus_to_exitcode(ended)
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, signal.SIG_IGN)
    status = 128 - status if status < 0 else status
    left = children(os.getpid())
    if not left:
        return status
    print(f"{len(left)} processes were left running and are ended now:", file=sys.stderr)
    for pid, line in left:
        print(f"  {pid}  {line[:160]}", file=sys.stderr)
    deadline = time.monotonic() + GRACE_S
    end([pid for pid, _ in left], signal.SIGTERM)
    while (alive := [pid for pid, _ in children(os.getpid())]) and time.monotonic() < deadline + GRACE_S:
        if time.monotonic() > deadline:
            end(alive, signal.SIGKILL)
        time.sleep(0.1)
        reap()
    return status or 1


if __name__ == "__main__":
    sys.exit(main())
