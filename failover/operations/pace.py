"""How far a long transfer is, at which rate, and how long it still takes; told at most once a second."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

_EVERY_S = 1.0


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """One look at a transfer. ``total_bytes`` and with it ``left_s`` are ``None`` where nobody can know."""

    title: str
    done_bytes: int
    total_bytes: int | None
    rate_bytes_s: float
    left_s: float | None
    over: bool = False


def flow(title: str, done: int, total: int | None, seconds: float, *, over: bool = False) -> Flow:
    """The figures after ``seconds``. A total that turned out too small is no total."""
    rate = done / seconds if seconds > 0 else 0.0
    known = total if total is not None and total >= done else None
    left = (known - done) / rate if known is not None and rate > 0 else None
    return Flow(title=title, done_bytes=done, total_bytes=known, rate_bytes_s=rate, left_s=left, over=over)


class Pace:
    """Counts for one transfer; ``at`` and ``add`` may be called from any thread."""

    def __init__(self, title: str, total: int | None, tell: Callable[[Flow], None]) -> None:
        self._title = title
        self._total = total
        self._tell = tell
        self._lock = threading.Lock()
        self._began_s = time.monotonic()
        self._told_s = self._began_s
        self._done = 0

    def add(self, count: int) -> None:
        """So many more."""
        with self._lock:
            self._done += count
            self._show()

    def at(self, done: int) -> None:
        """So many in all."""
        with self._lock:
            self._done = done
            self._show()

    def end(self) -> None:
        """It is over; says nothing when nothing was ever said."""
        with self._lock:
            if self._done:
                seconds = time.monotonic() - self._began_s
                self._tell(flow(self._title, self._done, self._done, seconds, over=True))

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._told_s >= _EVERY_S:
            self._told_s = now
            self._tell(flow(self._title, self._done, self._total, now - self._began_s))
