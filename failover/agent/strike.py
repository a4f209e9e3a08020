"""A death of the agent at a chosen act of its keeper: SIGKILL of this process. For tests and drills only.

An agent that finds ``run/strike`` (``ACT/before`` or ``ACT/after``, for example ``rewind/after``) when it starts dies
there, once: the file goes first. Of several it dies at the one it comes to first, and ``run/struck`` says at which.
Acts are the database's calls that change something, and the record's swap; they are read from the port, so that a new
one is covered as it is.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any, TypeVar, cast

from failover.ports.database import Database

_Part = TypeVar("_Part")
FILE, STRUCK = "run/strike", "run/struck"
PHASES = ("before", "after")
_LOOKS = {"facts", "heartbeat", "ensure_slots"}
ACTS = (*(name for name, call in vars(Database).items() if iscoroutinefunction(call) and name not in _LOOKS), "swap")


def points() -> tuple[str, ...]:
    """Every ``ACT/PHASE`` there is."""
    return tuple(f"{act}/{phase}" for act in ACTS for phase in PHASES)


def struck(part: _Part, host_dir: Path) -> _Part:
    """``part``, or when there is something to die of: the same, with that death in it."""
    file = host_dir / FILE
    return cast(_Part, _Struck(part, file)) if file.exists() else part


class _Struck:
    """Passes everything on."""

    def __init__(self, inner: object, file: Path) -> None:
        self._inner = inner
        self._file = file

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._inner, name)
        return self._watched(name, call) if name in ACTS else call

    def _watched(self, name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def watched(*args: Any, **named: Any) -> Any:
            self._die_at(f"{name}/before")
            answer = await call(*args, **named)
            self._die_at(f"{name}/after")
            return answer

        return watched

    def _die_at(self, point: str) -> None:
        if self._file.exists() and point in self._file.read_text().split():
            self._file.with_name(Path(STRUCK).name).write_text(point)
            self._file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
