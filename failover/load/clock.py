"""The clock of the ledger. CLOCK_BOOTTIME goes on while the machine sleeps and never jumps (safety D5)."""

from __future__ import annotations

import time


def boottime_s() -> float:
    """Seconds of CLOCK_BOOTTIME, the same in every process of one machine."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
