"""A fleet in memory behind the same ``Wired`` that commands are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from failover.errors import Denied, Unreachable
from failover.model.bootstrap import Bootstrap
from failover.model.fleet import Fleet
from failover.model.record import Record
from failover.model.run_report import Progress
from failover.model.secret import FleetSecrets, Secret, StoreKey
from failover.model.stores import StorePlace
from failover.operations.watch import Watch
from failover.operations.wired import Makers, Wired
from failover.planner.dns import primary_name, public_name
from failover.planner.hostspec import host_spec
from failover.ports.dns import DnsChange, NameSet
from failover.ports.scratch import Scratch
from failover.ports.snapshot_source import SnapshotSource
from failover.ports.store import Store
from tests.fakes.hosts import MemoryHosts, fleet, settled
from tests.fakes.journal import MemoryJournal
from tests.fakes.media_index import MemoryIndex
from tests.fakes.provisioner import MemoryProvisioner
from tests.fakes.record import MemoryRecordStore

SECRETS = FleetSecrets(
    app_password=Secret("app"),
    replication_password=Secret("replication"),
    keeper_password=Secret("keeper"),
    dns_api_keys={"alpha": Secret("a"), "beta": Secret("b")},
    bootstrap_tokens={"alpha": Secret("ta"), "beta": Secret("tb"), "gamma": Secret("tg")},
    pulumi_passphrase=Secret("p"),
    store_keys={name: StoreKey(access_key=name, secret=Secret(f"s-{name}")) for name in ("north", "south")},
)


@dataclass
class Names:
    """``DnsProvider``: what each server answers; ``dead`` ones never do."""

    served_at: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    dead: set[str] = field(default_factory=set)

    def plan(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        now = self.served(site, tuple(wanted.addresses), deadline_s=deadline_s)
        return tuple(
            DnsChange(name=name, before=now.get(name, ()), after=addresses)
            for name, addresses in wanted.addresses.items()
            if set(now.get(name, ())) != set(addresses)
        )

    def apply(self, site: str, wanted: NameSet, *, deadline_s: float) -> tuple[DnsChange, ...]:
        changes = self.plan(site, wanted, deadline_s=deadline_s)
        self.served_at.setdefault(site, {}).update(wanted.addresses)
        return changes

    def served(self, site: str, names: tuple[str, ...], *, deadline_s: float) -> dict[str, tuple[str, ...]]:
        if site in self.dead:
            raise Unreachable(f"the DNS server at {site} does not answer", where=site)
        return {name: self.served_at.get(site, {}).get(name, ()) for name in names}


@dataclass
class StoreLooks:
    """``StoreLook``: why the stores named in ``silent`` do not answer; the others do."""

    silent: dict[str, str] = field(default_factory=dict)

    def silence(self, place: StorePlace, *, deadline_s: float) -> str:
        return self.silent.get(place.name, "")


@dataclass
class Buckets:
    """``StoreBucket`` of any store: ``ours`` are there, ``theirs`` belong to somebody else."""

    ours: set[str] = field(default_factory=set)
    theirs: set[str] = field(default_factory=set)
    open: int = 0
    _name: str = ""

    def of(self, place: StorePlace, _deadline_s: float) -> Buckets:
        self.open, self._name = self.open + 1, place.bucket
        return self

    def ensure(self, *, lock_days: int | None = None) -> bool:
        if self._name in self.theirs:
            raise Denied(f"the bucket {self._name} belongs to somebody else", where="a store")
        made = self._name not in self.ours
        self.ours.add(self._name)
        return made

    def close(self) -> None:
        self.open -= 1


@dataclass
class Memory:
    """One fleet in memory; ``wired`` is what operations get."""

    wired: Wired
    hosts: MemoryHosts
    store: MemoryRecordStore
    journal: MemoryJournal
    names: Names
    store_looks: StoreLooks = field(default_factory=StoreLooks)
    buckets: Buckets = field(default_factory=Buckets)
    told: list[Progress] = field(default_factory=list)

    @property
    def record(self) -> Record:
        """The record now."""
        now = self.store.read(deadline_s=1)
        assert now is not None
        return now

    def watch(self) -> Watch:
        """Keeps what was told."""
        return Watch(self.told.append)


def bootstrap_of(name: str) -> Bootstrap:
    """What the host of a site of ``fleet()`` starts from."""
    site = fleet().site(name)
    return Bootstrap(
        fleet="demo", site=name, provider=site.provider, address=site.address, agent_port=7443, host_dir="/x",
        agent_version="1", agent_digest="d", fleet_ca_pem="pem", token="t",
    )  # fmt: skip


def memory(
    folder: Path,
    value: Record | None = None,
    *,
    declared: Fleet | None = None,
    stores: tuple[Store, ...] = (),
    source: Callable[[str, str], SnapshotSource] | None = None,
    scratch: Callable[[], Scratch] | None = None,
    index: MemoryIndex | None = None,
) -> Memory:
    """A settled fleet with its state in ``folder``, running exactly the specs its file asks for."""
    import msgspec

    store, journal, names = MemoryRecordStore(), MemoryJournal(), Names()
    hosts = settled(store, value)
    declared = declared or fleet()
    for site in declared.sites:
        digest = host_spec(declared, site, SECRETS, serial=0).digest()
        hosts.states[site.name] = msgspec.structs.replace(hosts.states[site.name], spec_digest=digest)
    now = store.read(deadline_s=1)
    assert now is not None
    edges = tuple(site.address for site in declared.data_sites)
    for site in declared.dns_sites:
        primary = declared.site(now.primary_site).address
        names.served_at[site.name] = {public_name(declared): edges, primary_name(declared): (primary,)}

    def never(*_: object) -> object:
        raise Unreachable("no database in this test")

    provisioner, looks, buckets = MemoryProvisioner(), StoreLooks(), Buckets()
    makers = Makers(
        hosts=lambda: hosts,
        record=lambda: store,
        journal=lambda: journal,
        provisioner=lambda: provisioner,
        dns=lambda: names,
        secrets=lambda: SECRETS,
        bootstrap=bootstrap_of,
        measure=never,
        stores=lambda: stores,
        store_look=lambda: looks,
        bucket=buckets.of,
        source=source or never,
        scratch=scratch or never,
        media_index=lambda _sites: index or never(),
    )
    wired = Wired(fleet=declared, fleet_path=folder / "fleet.yaml", state_dir=folder / ".failover", makers=makers)
    return Memory(
        wired=wired, hosts=hosts, store=store, journal=journal, names=names, store_looks=looks, buckets=buckets
    )
