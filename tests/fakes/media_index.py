"""What the app refers to, in memory: for tests above the port."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from failover.errors import FailoverError
from failover.model.media import Expected


@dataclass
class MemoryIndex:
    """``MediaIndex`` as a dict of name -> bytes. ``faults``: raised by the next calls of ``open``; ``breaks``: by the
    reading, after its first page."""

    bodies: dict[str, bytes] = field(default_factory=dict)
    site: str = "alpha"
    faults: list[FailoverError] = field(default_factory=list)
    breaks: list[FailoverError] = field(default_factory=list)
    page: int = 2

    async def open(self, *, deadline_s: float) -> None:
        if self.faults:
            raise self.faults.pop(0)

    async def pages(self, prefix: str, *, stall_s: float) -> AsyncIterator[Sequence[Expected]]:
        names = sorted(self.bodies)
        for at in range(0, len(names), self.page):
            yield [expected(prefix + name, self.bodies[name]) for name in names[at : at + self.page]]
            if self.breaks:
                raise self.breaks.pop(0)

    async def close(self) -> None:
        return None


def expected(key: str, body: bytes) -> Expected:
    """A reference to these bytes."""
    return Expected(key=key, sha256=hashlib.sha256(body).hexdigest(), size_bytes=len(body))
