"""Time as the engine sees it, so that tests can own it. Deadlines count CLOCK_BOOTTIME (safety D5)."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Seconds since boot that go on while the machine sleeps, and waiting."""

    def boottime(self) -> float:
        """CLOCK_BOOTTIME in seconds."""
        ...

    def sleep(self, duration_s: float) -> None:
        """Wait."""
        ...


class BootClock:
    """The machine's own clock."""

    def boottime(self) -> float:
        """See ``Clock``."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def sleep(self, duration_s: float) -> None:
        """See ``Clock``."""
        time.sleep(duration_s)
