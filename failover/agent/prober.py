"""The prober: looks at every peer at a steady pace, so that its silence and its peers' can be told apart.

A peer's agent is asked only while its database (if it has one) answers: after a provider died nothing of ours calls
it but the one-byte probe that waits for its return.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from failover.agent.view import HostView, PeerView, boot_s
from failover.model.record import Record
from failover.model.units import site_of
from failover.planner.verdict import DOWN
from failover.ports.probe import PeerProbe

log = logging.getLogger("failover.prober")

_STATE_EVERY_S = 1.0
_STATE_SOON_S = 0.03
# A standby whose connections were closed is looked at closely for a moment: every write waits for the answer. A server
# that is only started anew is away for longer than these few looks, so nothing is gained by spacing them.
_CLOSE_EVERY_S = 0.025
_CLOSE_LOOK_S = 1.0
# So long after a sync member's last sign of life another observer's word on it is asked for at once, over and over.
_DECISIVE_S = 5.0
_WIRE_AGAIN_S = 0.5


class Prober:
    """Runs one loop per peer until cancelled."""

    def __init__(self, view: HostView, probe: PeerProbe) -> None:
        self._view = view
        self._probe = probe
        self._loops: dict[str, asyncio.Task[None]] = {}
        self._close_look_until: dict[str, float] = {}
        self._closer: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Keep one loop per peer of the current spec."""
        try:
            while True:
                for site, peer in self._view.peers.items():
                    if site not in self._loops or self._loops[site].done():
                        self._loops[site] = asyncio.create_task(self._watch(peer), name=f"probe {site}")
                    wire = f"wire to {site}"
                    if peer.peer.database_port and (wire not in self._loops or self._loops[wire].done()):
                        self._loops[wire] = asyncio.create_task(self._wire(peer), name=wire)
                for site in [name for name in self._loops if name.removeprefix("wire to ") not in self._view.peers]:
                    self._loops.pop(site).cancel()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._view.moved.wait(), 1.0)
                    for closer in self._closer.values():  # the gate here waits for the new primary's word
                        closer.set()
        finally:
            for loop in self._loops.values():
                loop.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*self._loops.values(), return_exceptions=True)

    async def _watch(self, peer: PeerView) -> None:
        next_probe, last_state = boot_s(), 0.0
        while self._view.spec is not None:
            spec = self._view.spec
            now = boot_s()
            if now >= next_probe:
                await self._probe_database(peer, spec.probe_timeout_s)
                close = (
                    0 < peer.database.failures < spec.probe_failures
                    and boot_s() < self._close_look_until.get(peer.peer.site, 0.0)
                )
                next_probe = max(next_probe + (_CLOSE_EVERY_S if close else spec.probe_every_s), boot_s())
            every = _STATE_SOON_S if self._urgent(peer) else _STATE_EVERY_S
            if boot_s() >= last_state + every and self._may_ask(peer):
                await self._ask_agent(
                    peer, timeout_s=max(spec.probe_timeout_s * 2, 0.5), wait_s=max(next_probe - boot_s(), 0.0)
                )
                last_state = boot_s()
            soon = _STATE_SOON_S if self._urgent(peer) else spec.probe_every_s
            closer = self._closer.setdefault(peer.peer.site, asyncio.Event())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(closer.wait(), max(min(next_probe - boot_s(), soon), 0.005))
                closer.clear()
                next_probe = boot_s()

    async def _wire(self, peer: PeerView) -> None:
        """A connection to a standby that is only waited on: when it breaks, the database there is looked at now.

        Never to the primary: its restart must not look like its death any sooner than the fleet's timing says."""
        site = peer.peer.site
        while self._view.spec is not None:
            if self._is_standby(peer) and await self._probe.database_hangs_up(
                address=peer.peer.address, port=peer.peer.database_port
            ):
                # PostgreSQL hangs up by itself after a minute: then the next wire is laid without a gap.
                if self._is_standby(peer):
                    self._close_look_until[site] = boot_s() + _CLOSE_LOOK_S
                    self._closer.setdefault(site, asyncio.Event()).set()
                    await asyncio.sleep(_CLOSE_EVERY_S)
                continue
            await asyncio.sleep(_WIRE_AGAIN_S)

    def _is_standby(self, peer: PeerView) -> bool:
        record, state = self._view.record, peer.state
        return (
            record is not None
            and record.move is None
            and record.primary_site != peer.peer.site
            and state is not None
            and state.database.state == "standby"
        )

    def _may_ask(self, peer: PeerView) -> bool:
        return not peer.peer.database_port or peer.database.failures == 0 or self._stopping(peer)

    def _stopping(self, peer: PeerView) -> bool:
        """During a planned stop the database is down on purpose while its agent has news."""
        record = self._view.record
        return record is not None and record.move is not None and record.move.kind == "switchover"

    def _urgent(self, peer: PeerView) -> bool:
        """The record names this peer primary and we do not know yet that it serves, or another observer's word decides
        about a primary, or about our own sync member, that we find down."""
        record = self._view.record
        if record is None:
            return False
        if record.primary_site == peer.peer.site:
            return peer.serving_epoch != record.epoch and self._may_ask(peer)
        if record.primary_site == self._view.site:
            lost = self._failing(record)
            return bool(lost) and peer.peer.site not in lost
        return self._view.verdict_on(record.primary_site) == DOWN

    def _failing(self, record: Record) -> set[str]:
        """Sites of sync members that did not answer lately, and did until a moment ago."""
        found = set()
        for site in {site_of(member) for member in record.sync} & set(self._view.peers):
            tally = self._view.peers[site].database
            if tally.failures and tally.ok_at_s is not None and boot_s() - tally.ok_at_s < _DECISIVE_S:
                found.add(site)
        return found

    def _ask_the_others(self, site: str) -> None:
        """Our own sync member failed to answer for the first time: whether it is gone is what the others say."""
        record = self._view.record
        if record is None or record.primary_site != self._view.site or site not in self._failing(record):
            return
        for name, closer in self._closer.items():
            if name != site:
                closer.set()

    async def _probe_database(self, peer: PeerView, timeout_s: float) -> None:
        if not peer.peer.database_port:
            return
        began_s = boot_s()
        ok = await self._probe.database_answers(
            address=peer.peer.address, port=peer.peer.database_port, timeout_s=timeout_s
        )
        before = self._view.verdict_on(peer.peer.site)
        peer.database = peer.database.after(ok=ok, at_s=boot_s())
        if not ok and before != DOWN:
            # Whoever asks later why a site was found down finds it here.
            took_ms, number = (boot_s() - began_s) * 1000, peer.database.failures
            log.warning("the database at %s did not answer: %d in a row, %.0f ms", peer.peer.site, number, took_ms)
        if not ok:
            # What this site may still believe of itself depends on it (``planner/gate.believed_for_s``): read anew.
            self._view.look_now.set()
            if peer.database.failures == 1:
                self._ask_the_others(peer.peer.site)
        if not ok or self._view.verdict_on(peer.peer.site) != before:
            self._view.changed.set()

    async def _ask_agent(self, peer: PeerView, *, timeout_s: float, wait_s: float) -> None:
        """Its state; a new primary's the moment it serves, or when the next probe is due."""
        asked, address, port = boot_s(), peer.peer.address, peer.peer.agent_port
        record = self._view.record
        if record is not None and record.primary_site == peer.peer.site and peer.serving_epoch != record.epoch:
            state = await self._probe.agent_serves(
                address=address, port=port, epoch=record.epoch, wait_s=wait_s, timeout_s=timeout_s
            )
        else:
            state = await self._probe.agent_state(address=address, port=port, timeout_s=timeout_s)
        peer.agent = peer.agent.after(ok=state is not None, at_s=boot_s())
        if state is None:
            return
        before = peer.state
        peer.state, peer.state_at_s = state, asked
        mine = self._view.record
        if state.record is not None and (mine is None or state.record.revision > mine.revision):
            self._view.look_now.set()
        news = before is None or (before.serving, before.database.member, before.database.state, before.probes) != (
            state.serving,
            state.database.member,
            state.database.state,
            state.probes,
        )
        if news:
            self._view.changed.set()
