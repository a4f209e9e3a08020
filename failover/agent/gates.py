"""Tells every app process of this host whether it may run transactions, and against which site.

The order is pure (``planner/gate.py``); here it is delivered at once when it changes, and renewed while it holds, so
that a process whose agent died closes by itself when the freshness it was given runs out (safety E1).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from failover.agent.view import HostView, boot_s
from failover.errors import FailoverError
from failover.model.observation import GateFacts
from failover.model.spec import ServiceSpec
from failover.model.units import site_of
from failover.planner.gate import GateInputs, GateOrder, believed_for_s, order, serves
from failover.ports.probe import AppGate, GateAnswer

_RENEW_S = 0.4


class Gates:
    """One ``AppGate`` per gated service; of an app without a gate of its own that is the edge."""

    def __init__(self, view: HostView, make: Callable[[ServiceSpec], AppGate]) -> None:
        self._view = view
        self._make = make
        self._gates: dict[str, AppGate] = {}
        self._answers: dict[str, GateAnswer | None] = {}
        self._told: dict[str, tuple[GateOrder, float]] = {}
        self._reign = (False, False)
        self.poke = asyncio.Event()

    async def run(self) -> None:
        """Deliver orders until cancelled."""
        while True:
            self.poke.clear()
            await self.deliver()
            try:
                await asyncio.wait_for(self.poke.wait(), 0.1)
            except TimeoutError:
                continue

    def decide(self) -> GateOrder | None:
        """The order for now; also keeps ``view.serving`` current."""
        view, spec = self._view, self._view.spec
        if spec is None or spec.database is None:
            return None
        inputs = self._inputs(
            fresh_s=believed_for_s(
                fresh_s=spec.fresh_s,
                takeover_s=spec.probe_every_s * spec.probe_failures,
                doubted=self._doubted(),
            )
        )
        was = view.serving
        view.serving = serves(inputs) == "" and inputs.record is not None
        view.order = order(inputs)
        if view.serving != was:
            view.changed.set()
        reign = (view.serving, view.may_reign())
        if reign != self._reign:
            self._reign = reign
            view.services_due.set()
        return view.order

    def _doubted(self) -> bool:
        """A sync member's database did not answer this host's last probe."""
        record, peers = self._view.record, self._view.peers
        sites = {site_of(member) for member in record.sync} if record is not None else set()
        return any(peers[site].database.failures > 0 for site in sites if site in peers)

    def _inputs(self, *, fresh_s: float) -> GateInputs:
        view, record = self._view, self._view.record
        peer = view.peers.get(record.primary_site) if record is not None else None
        return GateInputs(
            site=view.site,
            record=record,
            db=view.database,
            evidence_at_s=view.evidence_s,
            fresh_s=fresh_s,
            recovered_lsn=view.recovered_lsn,
            serving_peer_epoch=peer.serving_epoch if peer is not None else -1,
            hold=view.hold,
            now_s=boot_s(),
        )

    async def deliver(self, *, wait_s: float = 0.0) -> None:
        """Tell every process that does not know yet. ``wait_s``: return once nothing is in flight (or after it)."""
        wanted, spec = self.decide(), self._view.spec
        if wanted is None or spec is None:
            return
        gated = {service.name: service for service in spec.services if service.gate}
        for name in [name for name in self._gates if name not in gated]:
            del self._gates[name]
            self._answers.pop(name, None)
        now = boot_s()
        due = [name for name in gated if wait_s or self._is_due(name, wanted, now)]
        await asyncio.gather(*(self._tell(name, gated[name], wanted, wait_s) for name in due))

    def _is_due(self, name: str, wanted: GateOrder, now: float) -> bool:
        answer = self._answers.get(name)
        if name not in self._told or answer is None or answer.state != wanted.state:
            return True
        told, at_s = self._told[name]
        same = (told.state, told.primary, told.epoch) == (wanted.state, wanted.primary, wanted.epoch)
        # A shorter life than was told must be known at once: it is what closes a cut-off site in time.
        return not same or wanted.fresh_until_s < told.fresh_until_s or now - at_s >= _RENEW_S

    async def _tell(self, name: str, service: ServiceSpec, wanted: GateOrder, wait_s: float) -> None:
        quiesce = wanted.state == "open" and self._view.quiesced()
        gate = self._gates.get(name) or self._gates.setdefault(name, self._make(service))
        try:
            self._answers[name] = await gate.tell(
                state="quiesce" if quiesce else wanted.state,
                primary=wanted.primary,
                epoch=wanted.epoch,
                fresh_until_s=wanted.fresh_until_s,
                wait_s=wait_s if quiesce or wanted.state == "hold" else 0.0,
            )
            self._told[name] = (wanted, boot_s())
            self._view.trouble.pop(f"gate {name}", None)
        except FailoverError as error:
            self._answers[name] = None
            self._view.trouble[f"gate {name}"] = str(error)

    def facts(self) -> GateFacts:
        """All processes as one: open only when every one of them is."""
        wanted = self._view.order
        answers = list(self._answers.values())
        known = [answer for answer in answers if answer is not None]
        states = {answer.state for answer in known}
        unknown = len(known) < len(answers) or not answers
        state = "unknown" if unknown else (states.pop() if len(states) == 1 else "hold")
        return GateFacts(
            state=state,
            primary=wanted.primary if wanted else "",
            epoch=wanted.epoch if wanted else 0,
            in_flight=sum(answer.in_flight for answer in known),
            waiting=sum(answer.waiting for answer in known),
            streams=sum(answer.streams for answer in known),
            hold_run=self._held_by(),
        )

    def _held_by(self) -> str:
        """The run whose hold or quiesce is in force: whoever takes it back must find it."""
        view = self._view
        if view.hold is not None and boot_s() < view.hold.until_s:
            return view.hold.run
        return view.quiesce.run if view.quiesce is not None and view.quiesced() else ""
