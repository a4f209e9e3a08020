"""Saves what a former primary wrote past the fork, before its copy is rewound, removed or left in quarantine."""

from __future__ import annotations

import logging

from failover.agent.view import HostView
from failover.errors import Damaged
from failover.model.observation import DatabaseFacts, Kept
from failover.ports.database import Database

log = logging.getLogger("failover.evidence")


class Evidence:
    """For the keeper of one host."""

    def __init__(self, view: HostView, database: Database) -> None:
        self._view = view
        self._database = database

    def look(self, db: DatabaseFacts) -> str:
        """Find what is saved of a quarantined copy; returns what is wrong with it, or ``""``."""
        view = self._view
        if view.record is None or view.record.quarantine(db.member) is None:
            view.kept = None
        elif view.kept is None and db.state == "stopped":
            try:
                saved = next((one for one in self._database.certificates() if one.member == db.member), None)
            except Damaged as error:
                return str(error)
            if saved is not None:
                view.kept = Kept(id=saved.id, commits=saved.commits, wal_bytes=saved.wal_bytes)
        return ""

    async def save(self, fork_lsn: int) -> None:
        """From the true fork: the record may still hold the guess of the swap that promoted."""
        view, record = self._view, self._view.record
        peer = view.peers.get(record.primary_site) if record is not None else None
        if peer is not None and peer.state is not None and 0 < peer.state.database.fork_lsn < fork_lsn:
            fork_lsn = peer.state.database.fork_lsn
        losses = record.accepted if record is not None else ()
        accepted = next((loss for loss in losses if loss.source == view.database.member), None)
        saved = await self._database.save_evidence(fork_lsn, accepted)
        log.warning("%s commits past the fork saved in %s", saved.commits, saved.folder)
