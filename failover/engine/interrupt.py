"""Ctrl-C and SIGTERM as a wish that the executor reads between acts, never as an exception in the middle of one.

Rule: the first one means "stop where it is safe" (undo before the commit step, finish after it), the second one "stop
starting anything". Nothing is cut off while it is being sent: its outcome would be unknown.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Interrupt:
    """How often the operator asked to stop."""

    def __init__(self) -> None:
        self._times = 0

    @property
    def times(self) -> int:
        """0: go on."""
        return self._times

    def ask(self) -> None:
        """Ask once more. Only counts, so that a signal handler may call it at any instant."""
        self._times += 1

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM ask, while this lasts. Main thread only."""

        def handler(_number: int, _frame: FrameType | None) -> None:
            self.ask()

        before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, former in before.items():
                signal.signal(number, former)
