"""Which primary, and in which epoch, the current request's last believed transaction ran at.

Sent back as headers, so that whoever measures a move need not guess from addresses: an edge names itself only.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar

_served: ContextVar[tuple[str, int] | None] = ContextVar("served", default=None)


def note(primary: str, epoch: int) -> None:
    """A transaction of this request was acknowledged there."""
    _served.set((primary, epoch))


def headers() -> Mapping[str, str]:
    """``X-Served-Primary`` and ``X-Served-Epoch``; nothing for an answer that asked no database."""
    served = _served.get()
    return {} if served is None else {"x-served-primary": served[0], "x-served-epoch": str(served[1])}
