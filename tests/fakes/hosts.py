"""Agents in memory over a record store in memory: a fleet whose keepers act the moment they are nudged.

``Fleet`` values and ``AgentState`` made here are also what planner tests look at.
Longer than 350 lines because all the keepers of a fleet act under one lock, and what they say is made beside it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import msgspec

from failover.errors import Refused, Unreachable
from failover.model.certificate import Certificate
from failover.model.fleet import App, AppClass, Dns, Fleet, Role, Service, Site
from failover.model.observation import (
    AgentState,
    DatabaseFacts,
    FleetSeen,
    GateFacts,
    Kept,
    ProbeFacts,
    Replica,
    ServiceFacts,
    ShippingFacts,
    SiteSeen,
)
from failover.model.record import Record, Timeline
from failover.model.secret import Secret
from failover.model.spec import HostSpec
from failover.model.stores import SnapshotRules, StoreKind, StorePlace
from failover.model.units import MemberId, site_of
from failover.model.version import VERSION
from failover.ports.record import Lease, RecordStore

ALPHA, BETA = MemberId("alpha_00000001"), MemberId("beta_00000002")
SYSTEM = "7000000000000000001"


def fleet(*, dns: tuple[str, ...] = ("alpha", "beta"), preferred: str = "alpha", promote: str = "auto") -> Fleet:
    """Two data sites and a witness, three providers."""

    def site(name: str, provider: str, role: Role, block: int) -> Site:
        return Site(name=name, provider=provider, role=role, address=f"127.{block}.0.1", dns=name in dns)

    return Fleet(
        name="demo",
        sites=(
            site("alpha", "north", Role.DATA, 210),
            site("beta", "south", Role.DATA, 220),
            site("gamma", "west", Role.WITNESS, 230),
        ),
        preferred=preferred,
        promote=promote,
        app=App(
            name="social",
            migrate=("python", "-m", "app.migrate"),
            services=(Service(name="web", command=("python", "-m", "app"), port=9001),),
        ),
        dns=Dns(zone="social.test", name="www.social.test"),
    )


def plain_fleet() -> Fleet:
    """The same with an app that is not ours (class G3): a process, a worker, and one with hooks of its own."""
    declared = fleet()
    web = msgspec.structs.replace(declared.app.services[0], gate=False, start="when_primary")
    worker = Service(name="worker", command=("/opt/app", "work"), start="when_primary", gate=False)
    hooked = Service(
        name="feed", command=("/opt/app", "feed"), gate=False,
        quiesce=("/opt/app", "pause"), resume=("/opt/app", "go-on"),
    )  # fmt: skip
    app = msgspec.structs.replace(declared.app, promise=AppClass.G3, services=(web, worker, hooked))
    return msgspec.structs.replace(declared, app=app)


def with_stores() -> Fleet:
    """``fleet()`` with a store at each data site."""

    def store(name: str, kind: StoreKind, site: str) -> StorePlace:
        return StorePlace(name=name, provider=name, kind=kind, endpoint=f"http://{site}:1", bucket="demo", site=site)

    return msgspec.structs.replace(
        fleet(), stores=(store("north", "seaweedfs", "alpha"), store("south", "rclone", "beta"))
    )


def shipping_fleet() -> Fleet:
    """``with_stores()`` with somebody who can open what is put there: its WAL is shipped."""
    rules = SnapshotRules(recipients=("age1" + "q" * 58, "age1" + "p" * 58))
    return msgspec.structs.replace(with_stores(), snapshots=rules)


def record(
    *, primary: MemberId = ALPHA, sync: tuple[MemberId, ...] = (BETA,), epoch: int = 5, **more: object
) -> Record:
    """The record of a settled fleet."""
    value = Record(
        epoch=epoch,
        revision=41,
        primary=primary,
        sync=sync,
        timelines=(Timeline(tli=1, fork_lsn=0),),
        system_identifier=SYSTEM,
        flushed_lsn=900,
    )
    return msgspec.structs.replace(value, **more)


def database(site: str, of: Record, *, position: int = 1000) -> DatabaseFacts:
    """The settled PostgreSQL of ``site`` under the record ``of``."""
    listed = {site_of(member): member for member in (*of.sync, of.primary)}
    member = {"alpha": ALPHA, "beta": BETA, **listed}.get(site)
    if member is None:
        return DatabaseFacts(state="absent")
    common = {"member": member, "system_identifier": SYSTEM, "timeline": 1, "position": position}
    if of.primary_site != site:
        proven = (str(of.primary),)
        return DatabaseFacts(
            state="standby", upstream=of.primary_site, streaming=True, replayed=position, flushed=position,
            names=proven, names_proven=proven, **common,
        )  # fmt: skip
    replicas = tuple(
        Replica(application_name=name, state="streaming", sync_state="quorum", flush_lsn=position, replay_lsn=position)
        for name in of.sync
    )
    names = tuple(str(name) for name in of.sync)
    return DatabaseFacts(state="primary", names=names, names_proven=names, replicas=replicas, **common)


def probe(site: str, verdict: str = "up") -> ProbeFacts:
    """What an observer says of ``site``."""
    return ProbeFacts(
        site=site,
        database_failures=0,
        database_ok_s_ago=0.1,
        agent_failures=0,
        agent_ok_s_ago=0.1,
        verdict=verdict,
    )


def agent(site: str, of: Record, **more: object) -> AgentState:
    """What the agent of ``site`` says when all is well."""
    declared = fleet().site(site)
    others = [other.name for other in fleet().sites if other.name != site]
    data = declared.role is Role.DATA
    running = ("etcd", "edge", "web") if data else ("etcd",)
    state = AgentState(
        site=site,
        provider=declared.provider,
        role=declared.role.value,
        version=VERSION,
        boot="boot-1",
        spec_serial=3,
        spec_digest=f"digest-{site}",
        record=of,
        record_s_ago=0.2,
        database=database(site, of),
        services=tuple(ServiceFacts(name=name, state="running", pid=100, starts=1) for name in running),
        gate=GateFacts(state="open" if data else "unknown", primary=of.primary_site, epoch=of.epoch),
        probes=tuple(probe(name) for name in others),
        serving=data and of.primary_site == site,
        unprotected_s=0.0,
        doing="primary, protected" if of.primary_site == site else "standby",
        shipping=shipping(site, of) if data else None,
    )
    return msgspec.structs.replace(state, **more)


def shipping(site: str, of: Record, **more: object) -> ShippingFacts:
    """What the shipper of ``site`` says when all is well; it counts only in a fleet with stores."""
    here = of.primary_site == site
    facts = ShippingFacts(
        duty="ship" if here else "keep", acknowledged_lsn=1000, slot="walshipper",
        exposure_bytes=0 if here else None, exposure_s=0.0 if here else None, timeline=1 if here else 0,
    )  # fmt: skip
    return msgspec.structs.replace(facts, **more)


def seen(of: Record | None = None, **changed: AgentState | None) -> FleetSeen:
    """A look at the whole fleet; ``beta=None``: that agent did not answer."""
    value = of if of is not None else record()
    sites: list[SiteSeen] = []
    for site in fleet().sites:
        state = changed.get(site.name, agent(site.name, value)) if site.name in changed else agent(site.name, value)
        error = "" if state is not None else "no answer"
        sites.append(SiteSeen(site=site.name, state=state, error=error, seen_s_ago=0.1 if state is not None else None))
    return FleetSeen(sites=tuple(sites), record=value)


def with_database(site: str, of: Record, **more: object) -> AgentState:
    """The settled agent with some facts of its database changed."""
    state = agent(site, of)
    return msgspec.structs.replace(state, database=msgspec.structs.replace(state.database, **more))


def suspects(site: str, of: Record, suspect: str, verdict: str) -> AgentState:
    """The settled agent with another verdict on ``suspect``."""
    state = agent(site, of)
    others = (one for one in state.probes if one.site != suspect)
    return msgspec.structs.replace(state, probes=(probe(suspect, verdict), *others))


def nothing_seen(error: str = "no majority of the voters answers") -> FleetSeen:
    """Nobody answers: a fleet that is off, or was never there."""
    sites = tuple(SiteSeen(site=site.name, state=None, error="no answer", seen_s_ago=None) for site in fleet().sites)
    return FleetSeen(sites=sites, record=None, record_error=error)


@dataclass
class MemoryHosts:
    """``Hosts`` over ``store``. ``silent`` sites do not answer. ``calls`` is every call that changes something.

    ``bad_hook``: a worker does not quiesce. ``stuck_stop``: the primary refuses to stop.
    ``stuck_receive``: the standby never gets the last bytes. ``stuck_shipper``: it ships on while its primary is moved.
    """

    store: RecordStore
    states: dict[str, AgentState]
    silent: set[str] = field(default_factory=set)
    stuck_stop: bool = False
    stuck_receive: bool = False
    bad_hook: bool = False
    stuck_shipper: bool = False
    calls: list[tuple[str, ...]] = field(default_factory=list)
    saved: dict[str, Certificate] = field(default_factory=dict)
    ended: tuple[str, ...] = ()
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def state(self, site: str, *, deadline_s: float) -> AgentState:
        with self._lock:
            self._answers(site)
            self._keep()
            return self.states[site]

    def certificates(self, site: str, *, deadline_s: float) -> tuple[Certificate, ...]:
        with self._lock:
            self._answers(site)
            return tuple(one for member, one in self.saved.items() if site_of(member) == site)

    def enrol(self, site: str, *, token: Secret, deadline_s: float) -> bool:
        self._call("enrol", site)
        return False

    def put_spec(self, site: str, spec: HostSpec, *, deadline_s: float) -> None:
        with self._lock:
            self._call("put_spec", site)
            self._change(site, spec_digest=spec.digest(), spec_serial=spec.serial)

    def hold(self, site: str, *, run: str, epoch: int, budget_s: float, deadline_s: float) -> GateFacts:
        with self._lock:
            self._call("hold", site)
            gate = GateFacts(state="hold", primary="", epoch=epoch, hold_run=run, waiting=5)
            self._change(site, gate=gate)
            return gate

    def quiesce(
        self, site: str, *, run: str, epoch: int, budget_s: float, slow_s: float, deadline_s: float
    ) -> GateFacts:
        with self._lock:
            self._call("quiesce", site)
            gate = msgspec.structs.replace(self.states[site].gate, hold_run=run)
            self._change(site, gate=gate)
            if self.bad_hook:
                raise Refused("feed: the hook /opt/app ended with 3: the queue is busy")
            return gate

    def release(self, site: str, *, run: str, deadline_s: float) -> GateFacts:
        with self._lock:
            self._call("release", site)
            now = self._record()
            gate = GateFacts(state="open", primary=now.primary_site, epoch=now.epoch)
            self._change(site, gate=gate)
            return gate

    def stop_primary(self, site: str, *, run: str, budget_s: float, deadline_s: float) -> DatabaseFacts:
        with self._lock:
            self._call("stop_primary", site)
            if self.stuck_stop:
                raise Refused(f"PostgreSQL at {site} did not stop within {budget_s:g} s; it runs again")
            before = self.states[site].database
            stopped = msgspec.structs.replace(
                before, state="stopped", clean_shutdown=True, was_primary=True, checkpoint_lsn=before.position,
                replicas=(), open_writes=0,
            )  # fmt: skip
            self._change(site, database=stopped)
            return stopped

    def await_primary(self, site: str, *, deadline_s: float) -> AgentState:
        return self.state(site, deadline_s=deadline_s)

    def await_received(self, site: str, *, lsn: int, deadline_s: float) -> DatabaseFacts:
        with self._lock:
            self._answers(site)
            if not self.stuck_receive:
                self._change(site, database=msgspec.structs.replace(self.states[site].database, position=lsn + 120))
            return self.states[site].database

    def terminate_writers(self, site: str, *, run: str, deadline_s: float) -> tuple[str, ...]:
        with self._lock:
            self._call("terminate_writers", site)
            self._change(site, database=msgspec.structs.replace(self.states[site].database, open_writes=0))
            return self.ended

    def checkpoint(self, site: str, *, deadline_s: float) -> None:
        self._call("checkpoint", site)

    def migrate(self, site: str, *, deadline_s: float) -> str:
        self._call("migrate", site)
        return "applied: nothing\n"

    def nudge(self, site: str, *, deadline_s: float) -> None:
        with self._lock:
            self._answers(site)
            self._keep()

    def close(self) -> None:
        pass

    def _keep(self) -> None:
        """Keepers do what the record says, at once: the record's primary runs, everybody else follows."""
        now = self._record()
        live = now.move is not None and now.move.kind == "switchover"
        for site, state in self.states.items():
            if site in self.silent:
                continue
            facts = state.database
            if now.quarantine(facts.member) is not None:
                self._quarantine(site, now)
                continue
            if facts.state == "stopped" and any(loss.source == facts.member for loss in now.accepted):
                facts = msgspec.structs.replace(facts, state="standby", member=f"{site}_00000009")
                self._join(site, now, MemberId(facts.member))
                state = self.states[site] = msgspec.structs.replace(state, kept=None)
                now = self._record()
            mine = now.primary_site == site
            if mine and facts.state == "stopped" and live:
                continue  # stands down for the run
            if facts.state != "absent" and site_of(facts.member) == site:
                facts = database(site, now, position=facts.position)
                facts = msgspec.structs.replace(facts, open_writes=state.database.open_writes if mine else 0)
            gate = state.gate
            if gate.hold_run and gate.epoch != now.epoch:
                gate = GateFacts(state="open", primary=now.primary_site, epoch=now.epoch)
            serving = mine and facts.state == "primary"
            ships = state.shipping
            if ships is not None:
                duty = "rest" if live and mine and not self.stuck_shipper else shipping(site, now).duty
                ships = msgspec.structs.replace(ships, duty=duty)
            self.states[site] = msgspec.structs.replace(
                state, record=now, database=facts, gate=gate, serving=serving, shipping=ships
            )

    def _quarantine(self, site: str, now: Record) -> None:
        """Its keeper stops it, saves what only it has, and waits."""
        state = self.states[site]
        saved = self.saved.get(state.database.member)
        kept = Kept(id=saved.id, commits=saved.commits, wal_bytes=saved.wal_bytes) if saved is not None else None
        facts = msgspec.structs.replace(state.database, state="stopped", was_primary=True, streaming=False, replicas=())
        self.states[site] = msgspec.structs.replace(state, record=now, database=facts, serving=False, kept=kept)

    def _join(self, site: str, now: Record, member: MemberId) -> None:
        """The primary's keeper lists the new copy."""
        lease = self.store.acquire(name=f"keeper-{now.primary_site}", owner="test", ttl_s=60, deadline_s=1)
        swap(self.store, lease, now, sync=(member,), alone=None)
        self.store.release(lease, deadline_s=1)

    def _record(self) -> Record:
        now = self.store.read(deadline_s=1.0)
        assert now is not None, "these hosts belong to a fleet with a record"
        return now

    def _call(self, name: str, site: str) -> None:
        with self._lock:
            self._answers(site)
            self.calls.append((name, site))

    def _answers(self, site: str) -> None:
        if site in self.silent:
            raise Unreachable(f"the agent at {site} does not answer", where=site)

    def _change(self, site: str, **more: object) -> None:
        self.states[site] = msgspec.structs.replace(self.states[site], **more)


def settled(store: RecordStore, value: Record | None = None) -> MemoryHosts:
    """A fleet at rest: ``value`` is written into the empty ``store`` step by legal step, and agents agree with it."""
    wanted = value if value is not None else record()
    lease: Lease = store.acquire(name="setup", owner="test", ttl_s=60, deadline_s=1)
    now = Record(epoch=0, revision=1, primary=ALPHA)
    store.create(now, lease=lease, deadline_s=1)
    now = swap(store, lease, now, epoch=1, system_identifier=SYSTEM, timelines=wanted.timelines, sync=(BETA,))
    while now.epoch < wanted.epoch:
        other, kept = (BETA, ALPHA) if now.primary == ALPHA else (ALPHA, BETA)
        now = swap(store, lease, now, epoch=now.epoch + 1, primary=other, sync=(kept,))
    if now.primary != wanted.primary:
        other, kept = (BETA, ALPHA) if now.primary == ALPHA else (ALPHA, BETA)
        now = swap(store, lease, now, epoch=now.epoch + 1, primary=other, sync=(kept,))
    now = swap(
        store, lease, now, sync=wanted.sync, move=wanted.move, flushed_lsn=wanted.flushed_lsn, alone=wanted.alone
    )
    store.release(lease, deadline_s=1)
    return MemoryHosts(store=store, states={site.name: agent(site.name, now) for site in fleet().sites})


def swap(store: RecordStore, lease: Lease, before: Record, **changes: object) -> Record:
    """One legal step of the stored record."""
    new = before.next(**changes)
    assert store.swap(expected_revision=before.revision, new=new, lease=lease, deadline_s=1)
    return new
