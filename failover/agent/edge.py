"""Turns the host's edge: at the primary to its own app, elsewhere to the primary's edge while that lives."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Protocol

from failover.agent.view import HostView
from failover.errors import FailoverError
from failover.model.units import site_of
from failover.planner.verdict import DOWN


class EdgeControl(Protocol):
    """The running edge. Every call is repeatable and short; raises ``Unreachable``."""

    def serve_locally(self) -> object:
        """New connections go to this host's app."""
        ...

    def forward_to(self, address: str, port: int) -> object:
        """New connections go to another edge, with the client's address kept."""
        ...

    def cut_forwarded(self) -> object:
        """End forwarded sessions: their target is dead."""
        ...


class EdgeLoop:
    """Runs until cancelled."""

    def __init__(self, view: HostView, edge: EdgeControl) -> None:
        self._view = view
        self._edge = edge
        self._cut_epoch = -1

    async def run(self) -> None:
        """At once in a new epoch, else once every tenth of a second: cheap when nothing changed."""
        told: tuple[str, int] | None = None
        renewed = 0
        while True:
            wanted = self._wanted()
            renewed += 1
            if wanted is not None and (wanted != told or renewed >= 20):
                told = wanted if await self._turn(wanted) else None
                renewed = 0
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._view.moved.wait(), 0.1)

    def _wanted(self) -> tuple[str, int] | None:
        """Address and port to forward to; ("", 0) is "serve here"; ``None``: leave it as it is."""
        view, record = self._view, self._view.record
        if record is None:
            return None
        peer = view.peers.get(record.primary_site)
        if record.primary_site == view.site or peer is None or not peer.peer.edge_forward_port:
            return ("", 0)
        order = view.order
        if order is not None and order.state == "open" and view.verdict_on(record.primary_site) != DOWN:
            return (peer.peer.address, peer.peer.edge_forward_port)
        return None

    async def _turn(self, wanted: tuple[str, int]) -> bool:
        address, port = wanted
        view, record = self._view, self._view.record
        try:
            if address:
                await asyncio.to_thread(self._edge.forward_to, address, port)
            else:
                await asyncio.to_thread(self._edge.serve_locally)
                if record is not None and self._cut_epoch != record.epoch and self._others_down():
                    await asyncio.to_thread(self._edge.cut_forwarded)
                    self._cut_epoch = record.epoch
        except FailoverError as error:
            view.trouble["edge"] = str(error)
            return False
        view.trouble.pop("edge", None)
        return True

    def _others_down(self) -> bool:
        """Another data site is dead. Not one that is sync: after a planned move that is the old primary, which starts
        again as standby while its edge still hands over requests; over slow links that takes long."""
        record = self._view.record
        sync = {site_of(member) for member in record.sync} if record is not None else set()
        others = [site for site, p in self._view.peers.items() if p.peer.database_port and site not in sync]
        return any(self._view.verdict_on(site) == DOWN for site in others)
