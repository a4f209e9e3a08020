"""The fleet file's PostgreSQL settings, brought to the server that runs. Never by a restart: a primary that bounces
for a setting is an outage nobody asked for."""

from __future__ import annotations

import contextlib

from failover.errors import Unreachable
from failover.ports.database import Database


class Settings:
    """Applied once in the life of an agent: a spec whose PostgreSQL part changed comes with a new agent process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._due = True
        self.waiting = ""
        """Which settings wait for a restart, and what to do about it; for the status."""

    async def apply(self) -> None:
        """Until it has worked once."""
        if not self._due:
            return
        with contextlib.suppress(Unreachable):
            waiting = await self._database.apply_settings()
            self._due = False
            if waiting:
                self.waiting = (
                    f"{', '.join(waiting)} wait for a restart: move the primary away, then stop this standby once"
                )
