"""Port: what media the app's database refers to. Reads only; whose database and which query is the adapter's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from failover.model.media import Expected


class MediaIndex(Protocol):
    """One consistent reading of the app's references, as of the moment ``open`` returned."""

    @property
    def site(self) -> str:
        """Whose database is read, once ``open`` returned."""
        ...

    async def open(self, *, deadline_s: float) -> None:
        """Fix the moment. Raises ``Unreachable`` when no site's database answers, ``Refused`` when the query is wrong
        (it must give a name below the media prefix, a sha256 in hex and a size in bytes)."""
        ...

    def pages(self, prefix: str, *, stall_s: float) -> AsyncIterator[Sequence[Expected]]:
        """Every reference in order of the key's bytes, the key being ``prefix`` and the name; each key once. Constant
        memory. Raises ``Unreachable``; ``Damaged`` for a row that is no reference."""
        ...

    async def close(self) -> None:
        """Free the connection. Repeatable."""
        ...
