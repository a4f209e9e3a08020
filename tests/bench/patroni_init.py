"""The init of one Patroni site: starts a command and reaps every orphan of it until it ends.

Patroni double-forks the postmaster and waits for its end by its number. Below a subreaper that does not reap (a
container's first process, a guard of left-over processes) a zombie keeps that number, and a demotion never ends.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

_PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    child = subprocess.Popen(sys.argv[1:]).pid
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == child:
            return os.waitstatus_to_exitcode(status) & 0xFF


if __name__ == "__main__":
    os._exit(main())
