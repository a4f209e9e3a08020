"""Port: the bucket itself, at a provider whose store is its own. Control calls only; what lies in it is ``store``'s."""

from __future__ import annotations

from typing import Protocol


class StoreBucket(Protocol):
    """One bucket. Every call is repeatable and blocks for about as long as it was made for. Raises ``Unreachable`` or
    ``OutcomeUnknown`` for silence, ``Denied`` when the key is refused or the bucket is somebody else's."""

    def ensure(self, *, lock_days: int | None = None) -> bool:
        """It is there and ours; ``True`` when it was made now. ``lock_days``: what is written cannot be removed for so
        long, also not by us."""
        ...

    def close(self) -> None:
        """Free connections. Repeatable."""
        ...
