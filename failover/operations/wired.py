"""What an operation is given: the fleet and the ports, each made when it is first used. Wired in ``cli/wiring.py``.

Made late on purpose: ``status`` must not pay for the engine, nor ``validate`` for TLS. What must never be here: an
adapter's name.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from failover.model.bootstrap import Bootstrap
from failover.model.fleet import Fleet
from failover.model.secret import FleetSecrets
from failover.model.stores import StorePlace
from failover.ports.dns import DnsProvider
from failover.ports.hosts import Hosts
from failover.ports.journal import Journal
from failover.ports.measure import Measure
from failover.ports.media_index import MediaIndex
from failover.ports.provisioner import Provisioner
from failover.ports.record import RecordStore
from failover.ports.scratch import Scratch
from failover.ports.snapshot_source import SnapshotSource
from failover.ports.store import Store
from failover.ports.store_bucket import StoreBucket
from failover.ports.store_look import StoreLook


class Makers:
    """How each part is made. Every call may raise a ``FailoverError`` that says what is missing."""

    def __init__(
        self,
        *,
        hosts: Callable[[], Hosts],
        record: Callable[[], RecordStore],
        journal: Callable[[], Journal],
        provisioner: Callable[[], Provisioner],
        dns: Callable[[], DnsProvider],
        secrets: Callable[[], FleetSecrets],
        bootstrap: Callable[[str], Bootstrap],
        measure: Callable[[], Measure],
        stores: Callable[[], tuple[Store, ...]],
        store_look: Callable[[], StoreLook],
        bucket: Callable[[StorePlace, float], StoreBucket],
        source: Callable[[str, str], SnapshotSource],
        scratch: Callable[[], Scratch],
        media_index: Callable[[Sequence[str]], MediaIndex],
    ) -> None:
        self.hosts = hosts
        self.record = record
        self.journal = journal
        self.provisioner = provisioner
        self.dns = dns
        self.secrets = secrets
        self.bootstrap = bootstrap
        self.measure = measure
        self.stores = stores
        self.store_look = store_look
        self.bucket = bucket
        self.source = source
        self.scratch = scratch
        self.media_index = media_index


class Wired:
    """One fleet with everything that reaches it. Close it when done."""

    def __init__(self, *, fleet: Fleet, fleet_path: Path, state_dir: Path, makers: Makers) -> None:
        self.fleet = fleet
        self.fleet_path = fleet_path
        self.state_dir = state_dir
        self._makers = makers
        self._parts: dict[str, Any] = {}
        # Lanes ask for the same part at the same instant, and it must be made once.
        self._lock = threading.RLock()

    @property
    def hosts(self) -> Hosts:
        """The agents."""
        return cast(Hosts, self._part("hosts", self._makers.hosts))

    @property
    def record(self) -> RecordStore:
        """The record store."""
        return cast(RecordStore, self._part("record", self._makers.record))

    @property
    def journal(self) -> Journal:
        """The journal of this operator's side."""
        return cast(Journal, self._part("journal", self._makers.journal))

    @property
    def provisioner(self) -> Provisioner:
        """What makes machines."""
        return cast(Provisioner, self._part("provisioner", self._makers.provisioner))

    @property
    def dns(self) -> DnsProvider:
        """The DNS providers."""
        return cast(DnsProvider, self._part("dns", self._makers.dns))

    @property
    def measure(self) -> Measure:
        """What drills ask the databases directly."""
        return cast(Measure, self._part("measure", self._makers.measure))

    @property
    def stores(self) -> tuple[Store, ...]:
        """The object stores, in the order of the fleet file. Whoever uses them closes them, in the loop that did."""
        return cast("tuple[Store, ...]", self._part("stores", self._makers.stores))

    @property
    def store_look(self) -> StoreLook:
        """Whether a store answers at all."""
        return cast(StoreLook, self._part("store_look", self._makers.store_look))

    @property
    def secrets(self) -> FleetSecrets:
        """The fleet's secrets."""
        return cast(FleetSecrets, self._part("secrets", self._makers.secrets))

    def source(self, site: str, primary: str) -> SnapshotSource:
        """The site's database as a snapshot is taken from it; ``primary`` is whom it follows ("": not known)."""
        return self._makers.source(site, primary)

    def scratch(self) -> Scratch:
        """A fresh place for one restored copy on this machine."""
        return self._makers.scratch()

    @property
    def snapshots_dir(self) -> Path:
        """What this machine keeps of snapshots: file lists, the last proven restore, copies in the making."""
        return self.state_dir / "snapshots"

    def media_index(self, sites: Sequence[str]) -> MediaIndex:
        """What media the app refers to, asked of these sites in this order. Whoever uses it closes it."""
        return self._makers.media_index(sites)

    def bootstrap(self, site: str) -> Bootstrap:
        """What Pulumi hands the site's new host."""
        return self._makers.bootstrap(site)

    def bucket(self, place: StorePlace, *, deadline_s: float) -> StoreBucket:
        """The bucket of a store; whoever asks for it closes it."""
        return self._makers.bucket(place, deadline_s)

    @property
    def born_marker(self) -> Path:
        """Written when this side has created the record: from then on one that cannot be read was not "never there"."""
        return self.state_dir / "born"

    def close(self) -> None:
        """Free connections of the parts that were made."""
        with self._lock:
            for name in ("hosts", "record", "measure", "journal"):
                part = self._parts.pop(name, None)
                if part is not None:
                    part.close()

    def _part(self, name: str, make: Callable[[], object]) -> object:
        with self._lock:
            if name not in self._parts:
                self._parts[name] = make()
            return self._parts[name]
