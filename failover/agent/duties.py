"""What the API can ask of an agent: reading its state, and an operator's signed orders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from failover.agent.follower import Follower
from failover.agent.gates import Gates
from failover.agent.keeper import Keeper
from failover.agent.services import Services
from failover.agent.ship_loop import ShipLoop
from failover.agent.view import HostView, boot_s
from failover.errors import Denied, Refused, Unreachable
from failover.model.certificate import Certificate
from failover.model.observation import AgentState, DatabaseFacts, GateFacts
from failover.model.spec import HostSpec
from failover.planner.gate import Hold
from failover.ports.database import Database
from failover.ports.processes import Processes

_MIGRATE_S = 120.0
_HASTE_S = 2.0
_SERVING_S = 10.0
_PATIENCE = 0.25
"""Of a hold's budget (5 s by default): longer than any step of a move takes from one order to the next, and short
enough that those who wait for a run that fell asleep are served before they give up."""
_SERIALS_KEPT = 4096


class Parts(msgspec.Struct, kw_only=True):
    """The running parts of an agent that has a spec; ``None`` where this host has no such part."""

    services: Services
    follower: Follower
    gates: Gates | None = None
    keeper: Keeper | None = None
    database: Database | None = None
    shipper: ShipLoop | None = None


class Duties:
    """One per agent; ``parts`` is filled in once there is a spec."""

    def __init__(
        self, view: HostView, *, version: str, processes: Processes, on_spec: Callable[[HostSpec, bytes], None]
    ) -> None:
        self._view = view
        self._version = version
        self._processes = processes
        self._on_spec = on_spec
        self._serials: dict[str, None] = {}
        self.parts: Parts | None = None

    def first_time(self, serial: str) -> None:
        """Refuse a statement that was used before (a replayed hold would close the gates again)."""
        if serial in self._serials:
            raise Denied("this signed statement was used already")
        self._serials[serial] = None
        if len(self._serials) > _SERIALS_KEPT:
            self._serials.pop(next(iter(self._serials)))

    async def state(self, *, fresh: bool) -> AgentState:
        """Everything this agent knows; ``fresh``: ask PostgreSQL now instead of telling the last look."""
        view, parts, spec = self._view, self.parts, self._view.spec
        if fresh and parts is not None and parts.database is not None:
            view.database = await parts.database.facts()
        now = boot_s()
        return AgentState(
            site=view.site,
            provider=view.provider,
            role=spec.role if spec is not None else "",
            version=self._version,
            boot=view.boot,
            spec_serial=spec.serial if spec is not None else 0,
            spec_digest=view.spec_digest,
            record=view.record,
            record_s_ago=None if view.record_read_s is None else round(now - view.record_read_s, 3),
            database=view.database,
            services=parts.services.facts() if parts is not None else (),
            gate=parts.gates.facts() if parts is not None and parts.gates is not None else GateFacts(state="unknown"),
            probes=view.probe_facts(),
            serving=view.serving,
            unprotected_s=round(view.unprotected_s, 3),
            doing=view.doing if spec is not None else "waiting for its first spec",
            trouble=tuple(f"{key}: {text}" for key, text in sorted(view.trouble.items())),
            voter_leader=view.voter_leader,
            record_known_s=0.0 if view.record is None else round(now - view.record_since_s, 3),
            kept=view.kept,
            shipping=parts.shipper.facts() if parts is not None and parts.shipper is not None else None,
        )

    def certificates(self) -> tuple[Certificate, ...]:
        """What was saved here before a copy was rewound or removed."""
        parts = self.parts
        return parts.database.certificates() if parts is not None and parts.database is not None else ()

    async def settled(self, epoch: int, *, serving: bool, wait_s: float) -> AgentState:
        """The state, the moment this site is primary in ``epoch`` (or a later one) and, if asked, serves; or after
        ``wait_s`` as it is then. A poll of this would be felt twice: in the pause, and by the processor it takes."""
        view, end = self._view, boot_s() + wait_s
        while True:
            turned = view.turned
            record, left_s = view.record, end - boot_s()
            here = record is not None and record.epoch >= epoch and view.database.member == record.primary
            primary = here and view.database.state == "primary"
            if (primary and (view.serving or not serving)) or left_s <= 0:
                return await self.state(fresh=False)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(turned.wait(), left_s)

    def nudge(self) -> None:
        """Read the record now."""
        self._view.look_now.set()

    def take_spec(self, body: bytes) -> None:
        """Store and adopt a spec. Refuses an older one and one for another site."""
        spec = msgspec.json.decode(body, type=HostSpec)
        mine = self._view.spec
        if spec.site != self._view.site:
            raise Refused(f"this spec is for {spec.site}, this host is {self._view.site}")
        if mine is not None and spec.serial < mine.serial:
            raise Refused(f"this host has spec {mine.serial}, {spec.serial} is older", hint="failover deploy")
        self._on_spec(spec, body)

    def _moving(self) -> tuple[Gates, Keeper, Database]:
        parts = self.parts
        if parts is None or parts.gates is None or parts.keeper is None or parts.database is None:
            raise Refused("this host holds no data")
        return parts.gates, parts.keeper, parts.database

    async def hold(self, run: str, *, epoch: int, budget_s: float, wait_s: float) -> GateFacts:
        """Close the gates for ``run``; they open by themselves after ``budget_s`` or in the next epoch (E2)."""
        gates, _, database = self._moving()
        view = self._view
        if view.record is None or view.record.epoch != epoch:
            raise Refused(f"this host knows epoch {view.record.epoch if view.record else 'none'}, not {epoch}")
        if view.hold is not None and view.hold.run != run and boot_s() < view.hold.until_s and view.hold.epoch == epoch:
            raise Refused(f"the gates are held by {view.hold.run}", hint="failover journal list")
        await self._require_move(run)
        now = boot_s()
        view.hold = Hold(
            run=run, epoch=epoch, until_s=now + budget_s, heard_s=now, patience_s=budget_s * _PATIENCE
        )
        await database.hasten(_HASTE_S)
        await gates.deliver(wait_s=wait_s)
        view.database = await database.facts()
        view.hear(run)
        return msgspec.structs.replace(gates.facts(), open_writes=view.database.open_writes)

    async def _require_move(self, run: str) -> None:
        """A run that slept while its move was taken back must not close a gate again."""
        for look in (False, True):
            record = await self._follower().look() if look else self._view.record
            if record is not None and record.move is not None and record.move.run == run:
                return
        raise Refused(f"the record carries no move of {run}", hint="failover status")

    def _follower(self) -> Follower:
        if self.parts is None:
            raise Refused("this host has no spec")
        return self.parts.follower

    async def quiesce(self, run: str, *, epoch: int, budget_s: float, wait_s: float) -> GateFacts:
        """Before a hold, for an app without a gate: workers stop writing, slow requests are waited for at most
        ``wait_s``. Over by itself like a hold."""
        gates, _, _ = self._moving()
        view = self._view
        if view.record is None or view.record.epoch != epoch:
            raise Refused(f"this host knows epoch {view.record.epoch if view.record else 'none'}, not {epoch}")
        other = view.quiesce if view.quiesced() else view.hold
        if other is not None and other.run != run and other.epoch == epoch and boot_s() < other.until_s:
            raise Refused(f"the app is held by {other.run}", hint="failover journal list")
        view.quiesce = Hold(run=run, epoch=epoch, until_s=boot_s() + budget_s)
        slow = asyncio.create_task(gates.deliver(wait_s=wait_s))
        try:
            if self.parts is not None:
                await self.parts.services.quiesce()
        finally:
            await slow
        return gates.facts()

    async def release(self, run: str) -> GateFacts:
        """End the run's hold and its quiesce."""
        gates, _, _ = self._moving()
        if self._view.quiesce is not None and self._view.quiesce.run == run:
            self._view.quiesce = None
            self._view.services_due.set()
        if self._view.hold is not None and self._view.hold.run == run:
            self._view.hold = None
        await gates.deliver()
        return gates.facts()

    async def stop_primary(self, run: str, *, budget_s: float) -> DatabaseFacts:
        """See ``Keeper.stop_for``."""
        _, keeper, _ = self._moving()
        self._view.hear(run)
        try:
            return await keeper.stop_for(run, budget_s=budget_s)
        finally:
            self._view.hear(run)

    async def received(self, lsn: int, *, wait_s: float) -> DatabaseFacts:
        """See ``Keeper.received``."""
        _, keeper, _ = self._moving()
        return await keeper.received(lsn, until_s=boot_s() + wait_s)

    async def end_writers(self, run: str) -> tuple[str, ...]:
        """End open write transactions; only under this run's live hold."""
        _, _, database = self._moving()
        hold = self._view.hold
        if hold is None or hold.run != run or boot_s() >= hold.until_s:
            raise Refused(f"{run} does not hold the gates here")
        self._view.hear(run)
        return await database.end_writers()

    async def checkpoint(self) -> None:
        """CHECKPOINT now."""
        _, _, database = self._moving()
        await database.checkpoint()

    async def _serving_soon(self) -> None:
        """An agent that has just been started anew serves within a second or two. Raises ``Refused`` elsewhere."""
        end = boot_s() + _SERVING_S
        while not self._view.serving:
            record = self._view.record
            if boot_s() > end or (record is not None and record.primary_site != self._view.site):
                raise Refused("this site does not serve: migrations run at the primary")
            await asyncio.sleep(0.05)

    async def migrate(self) -> str:
        """Run the app's migrations, at the primary only."""
        parts, spec = self.parts, self._view.spec
        if parts is None or spec is None or spec.migrate is None:
            return "no migrations declared"
        await self._serving_soon()
        parts.services.write_files(spec.migrate)
        environment = {key: parts.services.filled(value) for key, value in spec.migrate.environment.items()}
        done = await asyncio.to_thread(
            self._processes.run, spec.migrate.command, environment=environment, deadline_s=_MIGRATE_S, nice=0
        )
        if done.status != 0:
            raise Unreachable(f"migrations ended with {done.status}: {done.output.strip()[-600:]}")
        return done.output
