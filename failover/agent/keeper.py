"""Performs what ``planner/keeper.decide`` says, one action at a time. Decides nothing itself.

One keeper per data directory: ``main`` holds a lock for life (safety C3).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time

from failover.agent.evidence import Evidence
from failover.agent.follower import Follower
from failover.agent.gates import Gates
from failover.agent.peers import Peers
from failover.agent.settings import Settings
from failover.agent.view import HostView, boot_s
from failover.agent.watch import AloneClock, FlushWatch
from failover.errors import FailoverError, Refused, Unreachable
from failover.model.observation import DatabaseFacts
from failover.model.record import Record
from failover.model.units import member_id
from failover.planner import keeper as decisions
from failover.planner.gate import abandoned
from failover.ports.database import Database, Upstream

log = logging.getLogger("failover.keeper")
_ROUTINE = (decisions.PUBLISH, decisions.PUBLISH_ALONE, "primary, protected", decisions.UNPROTECTED)

_TICK_S = 0.25
# Closer looks would take the very processor that the promotion waits for.
_SOON_S = 0.006
_BEAT_S = 0.5
_PUBLISH_S = 2.0
_NOT_STREAMING_S = 20.0
# Longer than that, and whoever must agree does not: looking closely would only burn the processor.
_MISSED_SOON_S = 1.5


class Keeper:
    """Keeps the local PostgreSQL in step with the record."""

    def __init__(self, view: HostView, database: Database, follower: Follower, gates: Gates) -> None:
        self._view = view
        self._database = database
        self._follower = follower
        self._gates = gates
        self._peers = Peers(view)
        self._turn = asyncio.Lock()
        spec = view.spec
        self._stale_s = spec.standby_stale_s if spec is not None else 1.5
        self._watch = FlushWatch(stale_s=self._stale_s)
        self._alone = AloneClock()
        self._evidence = Evidence(view, database)
        self._settings = Settings(database)
        self._start_permit = 0
        self._own_revision = 0
        self._sent_revision: int | None = None
        self._record: Record | None = None
        self._rejoin_failed = False
        self._not_streaming_since: float | None = None
        self._missed_since: float | None = None
        self._gave_up_move = ""
        self._stopped: tuple[str, DatabaseFacts] = ("", DatabaseFacts(state="absent"))
        self._next_beat = 0.0
        self._next_publish = 0.0
        self._next_slots = 0.0
        self._counted_at = boot_s()
        self._said = ""

    async def run(self) -> None:
        """Keep it for ever. A failed action is shown, and the next look decides again."""
        await self._database.hasten(0.0)
        while True:
            self._view.changed.clear()
            async with self._turn:
                soon = await self._once()
            try:
                await asyncio.wait_for(self._view.changed.wait(), _SOON_S if soon else self._rest_s())
            except TimeoutError:
                continue

    def _rest_s(self) -> float:
        """Until the next look; not past the instant at which a run that holds the gates was silent for too long."""
        hold = self._view.hold
        left_s = hold.heard_s + hold.patience_s - boot_s() if hold is not None else _TICK_S
        return min(_TICK_S, left_s) if left_s > 0 else _TICK_S

    async def _once(self) -> bool:
        """One look, one decision, one act; True when the next look should come at once."""
        await self._look()
        action = decisions.decide(self._facts())
        if action.why != self._said:
            level = logging.DEBUG if {action.why, self._said} <= set(_ROUTINE) else logging.WARNING
            log.log(level, "%s: %s", type(action).__name__, action.why)
            self._said = action.why
        self._view.doing = action.why
        self._note("keeper", action.why if isinstance(action, decisions.Idle) and action.trouble else "")
        if isinstance(action, decisions.Idle):
            return self._unsettled()
        try:
            await self._perform(action)
            self._note("database", "")
        except (FailoverError, OSError) as error:
            self._note("database", str(error))
            log.warning("%s failed: %s", type(action).__name__, error)
            await asyncio.sleep(0.1)
        return True

    def _note(self, key: str, text: str) -> None:
        if text:
            self._view.trouble[key] = text
        else:
            self._view.trouble.pop(key, None)

    def _unsettled(self) -> bool:
        """This site is the record's primary and does not serve yet, or just lost a sync member: every write waits then,
        and every millisecond is an outage."""
        view, record = self._view, self._view.record
        if record is None or record.primary_site != view.site or view.database.state != "primary":
            return False
        if not view.serving:
            return True
        streaming = {replica.application_name for replica in view.database.replicas if replica.state == "streaming"}
        if all(member in streaming for member in record.sync):
            self._missed_since = None
            return False
        self._missed_since = self._missed_since or boot_s()
        return boot_s() - self._missed_since < _MISSED_SOON_S

    # --- looking ---------------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        view = self._view
        # A decision looks at a database no older than the record it is swapped from: what changed meanwhile refuses it.
        self._record = view.record
        if self._sent_revision is None and view.record is not None:
            self._sent_revision = view.record.revision
        db = await self._database.facts()
        view.database = db
        now = boot_s()
        if db.state == "standby":
            # A standby that runs may be counted on at any moment, whatever the record said before it was started.
            self._own_revision = 0
        if db.state != "primary":
            view.recovered_lsn = None
            # Who flushed in an earlier reign says nothing about the next one.
            self._watch = FlushWatch(stale_s=self._stale_s)
        elif view.recovered_lsn is None:
            view.recovered_lsn = db.position
        if db.state == "primary":
            await self._look_as_primary(db, now)
        if db.state in ("primary", "standby") and now >= self._next_slots:
            # On a standby too: after a move the old primary finds its slot here, or it would come back for it later.
            self._next_slots = now + _PUBLISH_S
            with contextlib.suppress(Unreachable):
                await self._database.ensure_slots([*self._peers.copies().values()])
        if db.state in ("primary", "standby"):
            await self._settings.apply()
            self._note("settings", self._settings.waiting)
        self._count_streaming(db, now)
        self._note("evidence", self._evidence.look(db))
        self._gates.decide()
        self._gates.poke.set()
        view.looked()

    async def _look_as_primary(self, db: DatabaseFacts, now: float) -> None:
        view, record = self._view, self._view.record
        self._watch.look(db, now_s=now)
        if record is None:
            return
        if view.serving and not record.sync:
            view.unprotected_s += now - self._counted_at
        self._counted_at = now
        with contextlib.suppress(Unreachable):
            if now >= self._next_beat and record.primary == db.member:
                self._next_beat = now + _BEAT_S
                self._watch.beat(at_s=now, lsn=await self._database.heartbeat())
        heard = self._watch.heard_from_all(record.sync, db)
        if heard is not None and record.primary == db.member:
            view.evidence_s = max(view.evidence_s or 0.0, heard)

    def _count_streaming(self, db: DatabaseFacts, now: float) -> None:
        if db.state == "standby" and db.streaming:
            self._rejoin_failed = False
        if db.state != "standby" or db.streaming or not self._peers.upstream_ready(self._record):
            self._not_streaming_since = None
            return
        self._not_streaming_since = self._not_streaming_since or now
        if now - self._not_streaming_since > _NOT_STREAMING_S:
            self._rejoin_failed = True

    def _move_age_s(self, record: Record | None, now: float) -> float:
        """How long the record's move is known here; past its budget once this keeper has given it up."""
        move = record.move if record is not None else None
        if move is None or move.run != self._gave_up_move:
            self._gave_up_move = ""  # a run that is resumed may claim it again
        if move is not None and abandoned(self._view.hold, move.run, now_s=now):
            self._gave_up_move = move.run
        if move is not None and move.run == self._gave_up_move:
            return move.budget_s + 1.0
        return now - self._view.move_seen[1]

    def _facts(self) -> decisions.KeeperFacts:
        view, record, db = self._view, self._record, self._view.database
        spec = view.spec
        now = boot_s()
        age = self._move_age_s(record, now)
        publish = 0
        if now >= self._next_publish and record is not None and record.sync and db.state == "primary":
            flushed = {r.application_name: r.flush_lsn for r in db.replicas}
            publish = min(flushed.get(member, 0) for member in record.sync)
        alone_s = 0.0
        if now >= self._next_publish and record is not None and not record.sync and db.state == "primary":
            alone_s = self._alone.seconds(record.alone, now_s=now, now_unix_s=time.time())
        sites = [peer.peer for peer in view.peers.values() if peer.peer.database_port]
        return decisions.KeeperFacts(
            site=view.site,
            record=record,
            db=db,
            start_permit=self._start_permit,
            sent_revision=self._sent_revision or 0,
            own_revision=self._own_revision,
            move_age_s=age,
            move_ended_s=None if view.move_ended_at_s is None else now - view.move_ended_at_s,
            lost=self._watch.lost(db, now_s=now) if db.state == "primary" else frozenset(),
            caught_up=self._watch.caught_up(db),
            copies=self._peers.copies(),
            opinions={peer.site: self._peers.opinions(peer.site) for peer in sites},
            providers={view.site: view.provider, **{p.peer.site: p.peer.provider for p in view.peers.values()}},
            upstream_ready=self._peers.upstream_ready(record),
            rejoin_failed=self._rejoin_failed,
            publish_flush=publish,
            alone_s=alone_s,
            now_unix_s=time.time(),
            evidence_saved=view.kept is not None,
            epoch_floor=view.floor.epoch,
            promote=spec.promote if spec is not None else "ask",
            on_standby_loss=spec.on_standby_loss if spec is not None else "stall",
        )

    # --- doing -----------------------------------------------------------------------------------------------------

    async def _perform(self, action: decisions.KeeperAction) -> None:
        db = self._database
        match action:
            case decisions.CreateDatabase(member=member):
                await db.create(member)
            case decisions.Swap():
                await self._swap(action)
            case decisions.StartPrimary(names=names):
                # The permit is for one start: a crash loop must swap again each time (safety C2).
                self._start_permit = 0
                await db.start_primary(names)
            case decisions.StartStandby(upstream=upstream, names=names):
                self._own_revision = 0
                await db.start_standby(self._upstream(upstream) if upstream else None, names)
            case decisions.StopDatabase(clean=clean):
                await db.stop(clean=clean, budget_s=2.0)
            case decisions.Rename():
                await db.rename(member_id(self._view.site, secrets.token_hex(4)))
            case decisions.SetNames(names=names):
                await db.set_names(names)
            case decisions.ProveNames(names=names):
                self._watch.proved(names, await db.prove_names(names))
            case decisions.Follow(upstream=upstream):
                await db.follow(self._upstream(upstream))
            case decisions.Promote(timelines=timelines):
                await db.promote(timelines)
            case decisions.Seed(upstream=upstream):
                await db.seed(self._upstream(upstream), member_id(self._view.site, secrets.token_hex(4)))
                self._rejoin_failed = False
            case decisions.SaveEvidence(fork_lsn=fork):
                await self._evidence.save(fork)
            case decisions.Rejoin():
                await self._rejoin(action)
            case _:
                raise NotImplementedError(f"no performer for {type(action).__name__}")

    async def _swap(self, action: decisions.Swap) -> None:
        self._next_publish = boot_s() + _PUBLISH_S
        self._sent_revision = action.expected_revision
        if not await self._follower.swap(action.expected_revision, action.new):
            return
        self._own_revision = action.new.revision
        if action.permits_start:
            self._start_permit = action.new.revision

    async def _rejoin(self, action: decisions.Rejoin) -> None:
        await self._database.stop(clean=False, budget_s=5.0)
        if action.fork_lsn:
            await self._evidence.save(action.fork_lsn)
        if not action.rewind:
            await self._database.discard()
            self._rejoin_failed = False
            return
        new = member_id(self._view.site, secrets.token_hex(4))
        self._rejoin_failed = not await self._database.rewind(self._upstream(action.upstream), new)

    def _upstream(self, site: str) -> Upstream:
        peer = self._view.peers[site].peer
        return Upstream(site=site, address=peer.address, port=peer.database_port)

    # --- asked by a run --------------------------------------------------------------------------------------------

    async def stop_for(self, run: str, *, budget_s: float) -> DatabaseFacts:
        """Stop PostgreSQL for a planned move. Raises ``Refused`` when the record does not carry that move from here."""
        async with self._turn:
            record = self._view.record
            if record is None or record.move is None or record.move.run != run:
                record = await self._follower.look()
            move = record.move if record is not None else None
            if (
                move is None
                or move.run != run
                or move.kind != "switchover"
                or move.source != self._view.database.member
            ):
                raise Refused(f"the record carries no move of {run} from this site", hint="failover status")
            if boot_s() - self._view.move_seen[1] > move.budget_s or run == self._gave_up_move:
                raise Refused(f"the budget of {run} is over", hint="failover switchover again")
            if self._stopped[0] == run and self._view.database.state in ("standby", "starting"):
                return self._stopped[1]  # asked again: it waits as a standby by now
            self._stopped = ("", self._view.database)
            if self._view.database.state in ("standby", "starting"):
                # It waits already, stopped by an agent that is gone: where it ended is read from its files.
                await self._database.stop(clean=True, budget_s=budget_s)
            if self._view.database.state == "primary" and record is not None:
                with contextlib.suppress(Unreachable):
                    await self._database.end_strangers(record.sync)
                self._start_permit = 0
                if not await self._database.stop(clean=True, budget_s=budget_s):
                    # A standby that does not acknowledge kept it from stopping for a minute (safety D1): open again.
                    self._gave_up_move = run
                    raise Refused(f"PostgreSQL did not stop within {budget_s:.1f} s; it is started again")
            self._view.database = await self._database.facts()
            self._stopped = (run, self._view.database)
            self._view.changed.set()
            return self._view.database

    async def received(self, lsn: int, *, until_s: float) -> DatabaseFacts:
        """Wait until this standby has flushed past ``lsn``, or the deadline."""
        while await self._database.received() <= lsn and boot_s() < until_s:
            await asyncio.sleep(0.002)
        self._view.database = await self._database.facts()
        return self._view.database
