"""Keeps the record's leader at the witness: there the loss of a data site costs no election (safety D3)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Protocol

from failover.agent.view import HostView
from failover.errors import FailoverError

_EVERY_S = 2.0


class VoterView(Protocol):
    """What is asked of one voter's status."""

    @property
    def leads(self) -> bool:
        """It takes itself for the leader."""
        ...


class Voters(Protocol):
    """Some of the record's voters."""

    def status(self, *, deadline_s: float) -> Sequence[VoterView]:
        """Every voter it was made with, in order."""
        ...

    def keep_leader_at(self, name: str, *, deadline_s: float) -> bool:
        """Hand leadership to the voter called ``name``."""
        ...


class LeaderLoop:
    """Runs until cancelled. ``own`` knows this host's voter only, ``pair`` also the witness's: only the voter that
    leads looks further than itself, so that nobody keeps calling a dead one."""

    def __init__(self, view: HostView, *, own: Voters, pair: Voters) -> None:
        self._view = view
        self._own = own
        self._pair = pair

    async def run(self) -> None:
        """Look every two seconds."""
        while True:
            await self._once()
            await asyncio.sleep(_EVERY_S)

    async def _once(self) -> None:
        view = self._view
        try:
            seen = await asyncio.to_thread(self._own.status, deadline_s=0.5)
            view.voter_leader = seen[0].leads
            witness = next((p.peer.site for p in view.peers.values() if not p.peer.database_port), None)
            is_data = view.spec is not None and view.spec.database is not None
            if view.voter_leader and is_data and witness is not None and view.peers[witness].state is not None:
                await asyncio.to_thread(self._pair.keep_leader_at, witness, deadline_s=1.0)
        except FailoverError as error:
            view.trouble["voter"] = str(error)
            return
        view.trouble.pop("voter", None)
