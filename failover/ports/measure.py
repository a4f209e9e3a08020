"""Port: how a drill looks at the databases themselves, past everything that is being drilled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Measure(Protocol):
    """Reads and tries PostgreSQL of a site directly. Never used by anything that moves the fleet."""

    def commits(self, site: str, *, timeout_s: float) -> bool:
        """Commit a transaction that writes WAL at the site; True only when it was acknowledged within the time."""
        ...

    def column(self, site: str, query: str, parameters: Mapping[str, str]) -> list[str]:
        """First column of every row, in the app's database at the site. Raises ``Unreachable``."""
        ...

    def close(self) -> None:
        """Free connections."""
        ...
