"""Which adapter stands behind which port, and with which files and keys. Made when first used.

One of the two places that know adapters (the other: ``agent/main.py``). Imports of adapters are inside functions, so
that a command loads only what it uses and a missing part of one breaks no other.
"""

from __future__ import annotations

import hashlib
import os
import signal
import ssl
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

import failover
from failover.cli.options import Options
from failover.config.fleet import load_fleet
from failover.errors import UsageError
from failover.model import outputs
from failover.model.bootstrap import Bootstrap
from failover.model.fleet import Fleet
from failover.model.ready import ready
from failover.model.secret import FleetSecrets, Secret
from failover.model.stores import StorePlace
from failover.model.version import VERSION
from failover.operations.wired import Makers, Wired
from failover.planner.hostspec import record_endpoints
from failover.ports import provisioner
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

if TYPE_CHECKING:
    from failover.trust.signatures import Signer

STATE_FOLDER = ".failover"
_ROOT = Path(failover.__file__).parent.parent
_SIGNATURE_LIFE_S = 300.0


def wire(options: Options) -> Wired:
    """The fleet of ``options`` with everything that reaches it. Raises ``ConfigError`` with every finding."""
    path = options.fleet.absolute()
    fleet = load_fleet(path)
    state_dir = path.parent / STATE_FOLDER
    parts = _Parts(fleet, state_dir)
    makers = Makers(
        hosts=parts.hosts,
        record=parts.record,
        journal=parts.journal,
        provisioner=parts.provisioner,
        dns=parts.dns,
        secrets=parts.secrets,
        bootstrap=parts.bootstrap,
        measure=parts.measure,
        stores=parts.stores,
        store_look=parts.store_look,
        bucket=parts.bucket,
        source=parts.source,
        scratch=parts.scratch,
        media_index=parts.media_index,
    )
    return Wired(fleet=fleet, fleet_path=path, state_dir=state_dir, makers=makers)


class _Parts:
    """Makes the parts of one fleet."""

    def __init__(self, fleet: Fleet, state_dir: Path) -> None:
        self._fleet = fleet
        self._state_dir = state_dir
        self._trust = state_dir / "trust"
        self._writing = threading.Lock()

    def hosts(self) -> Hosts:
        """The agents, over mutual TLS with the operator's certificate."""
        _spare_httpx_its_command()
        from failover.adapters import agent_client
        from failover.adapters.agent_client import AgentHosts, Handshake, Place

        ready(agent_client)
        places = {site.name: Place(address=site.address, port=site.ports.agent) for site in self._fleet.sites}
        signing = _Signing(self._fleet.name, self._trust)
        handshake = Handshake(begin=_Enrolling(self._fleet, self._trust).begin)
        return AgentHosts(places, tls=self._tls(), sign=signing.sign, handshake=handshake)

    def record(self) -> RecordStore:
        """etcd's voters, or the one file of a fleet that is only looked at."""
        if self._fleet.record == "sqlite":
            from failover.adapters.record_sqlite import SqliteRecordStore

            self._state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            return SqliteRecordStore(path=self._state_dir / "record.db")
        _spare_httpx_its_command()
        from failover.adapters import record_etcd, record_etcd_wire, record_value
        from failover.adapters.record_etcd import EtcdRecordStore

        ready(record_etcd, record_etcd_wire, record_value)
        endpoints = record_endpoints(self._fleet)
        return EtcdRecordStore(fleet=self._fleet.name, endpoints=endpoints, tls=self._tls(), hedge_s=0.6)

    def journal(self) -> Journal:
        """This side's journal. Tests and drills may strike a run at one of its lines (``engine/strike.py``)."""
        from failover.adapters.journal_sqlite import SqliteJournal

        self._state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        journal = SqliteJournal(path=self._state_dir / "journal.db")
        script = os.environ.get("FAILOVER_STRIKE", "")
        if not script:
            return journal
        from failover.engine.strike import StruckJournal

        return StruckJournal(journal, script=script, kill=self._strike)

    def provisioner(self) -> Provisioner:
        """The Pulumi engine, as a program of its own."""
        from failover.adapters import pulumi, pulumi_process
        from failover.adapters.pulumi import PulumiProvisioner
        from failover.adapters.pulumi_program import locate_pulumi

        ready(outputs, provisioner, pulumi, pulumi_process)
        return PulumiProvisioner(
            root=_ROOT,
            state_dir=self._state_dir / "pulumi",
            program=locate_pulumi(_ROOT),
            passphrase=self.secrets().pulumi_passphrase,
        )

    def dns(self) -> DnsProvider:
        """The zone's providers."""
        from failover.adapters.dns_octodns import OctoDns, dns_servers

        return OctoDns(dns_servers(self._fleet, self.secrets()))

    def measure(self) -> Measure:
        """PostgreSQL itself, for the figures of drills only."""
        from failover.adapters.measure import PostgresMeasure

        return PostgresMeasure(self._fleet, password=self.secrets().keeper_password, role="keeper")

    def stores(self) -> tuple[Store, ...]:
        """Every store of the fleet. Raises ``UsageError`` when the key of one is not known here."""
        from failover.adapters.store_s3 import S3Store
        from failover.trust.store_keys import require_store_keys

        keys = require_store_keys(self._trust, self._fleet.stores, self.secrets())
        return tuple(S3Store(place, keys[place.name]) for place in self._fleet.stores)

    def store_look(self) -> StoreLook:
        """Plain HTTP: looking loads no client of S3."""
        from failover.adapters.store_look import HttpStoreLook

        return HttpStoreLook()
    def source(self, name: str, primary: str) -> SnapshotSource:
        """A site's database as a snapshot is taken from it, under a name that is no member's."""
        from failover.adapters.postgres_source import PostgresSource

        site = self._fleet.site(name)
        upstream = self._fleet.site(primary) if primary else None
        return PostgresSource(
            address=site.address,
            port=site.ports.postgres,
            passfile=self._passfile(),
            name=f"snapshot-of-{name}",
            database=self._fleet.app.database,
            upstream=(upstream.address, upstream.ports.postgres) if upstream is not None else None,
        )

    def _passfile(self) -> Path:
        from failover.adapters.postgres_config import pass_line
        from failover.trust.ca import write_private

        secrets = self.secrets()
        path = self._trust / "pgpass"
        wanted = pass_line("replicator", secrets.replication_password.reveal())
        wanted += pass_line("keeper", secrets.keeper_password.reveal())
        with self._writing:  # sites are asked side by side
            if not path.exists() or path.read_text(encoding="utf-8") != wanted:
                write_private(path, wanted)
        return path

    def scratch(self) -> Scratch:
        """A restored copy on this machine."""
        from failover.adapters.postgres_scratch import PostgresScratch
        from failover.adapters.processes import DetachedProcesses

        folder = self._state_dir / "snapshots"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return PostgresScratch(DetachedProcesses(), log=folder / "scratch.log")

    def bucket(self, place: StorePlace, deadline_s: float) -> StoreBucket:
        """Control calls of a provider's own store."""
        from failover.adapters.store_s3_bucket import S3Bucket
        from failover.trust.store_keys import require_store_keys

        key = require_store_keys(self._trust, (place,), self.secrets())[place.name]
        return S3Bucket(place, key, deadline_s=deadline_s)

    def media_index(self, sites: Sequence[str]) -> MediaIndex:
        """The fleet file's query, at the app's database of the first of these sites that answers."""
        from failover.adapters.media_index import PostgresMediaIndex

        return PostgresMediaIndex(
            [self._fleet.site(name) for name in sites],
            database=self._fleet.app.database,
            role="keeper",
            password=self.secrets().keeper_password,
            query=self._fleet.media.index if self._fleet.media is not None else "",
        )

    def secrets(self) -> FleetSecrets:
        """From the trust folder."""
        from failover.trust.secrets import load_secrets

        sites = [site.name for site in self._fleet.sites]
        dns_sites = [site.name for site in self._fleet.dns_sites]
        return load_secrets(self._trust, sites=sites, dns_sites=dns_sites, stores=self._fleet.stores)

    def bootstrap(self, name: str) -> Bootstrap:
        """The first data of the site's host."""
        site = self._fleet.site(name)
        return Bootstrap(
            fleet=self._fleet.name,
            site=name,
            provider=site.provider,
            address=site.address,
            agent_port=site.ports.agent,
            host_dir=str(self._state_dir / "sites" / name) if site.kind == "local" else "/var/lib/failover",
            agent_version=VERSION,
            agent_digest=_digest(),
            fleet_ca_pem=_read(self._trust / "ca.pem"),
            token=self.secrets().bootstrap_tokens[name].reveal(),
        )

    def _strike(self, victim: str) -> None:
        """SIGKILL of a local site's agent, if it has one already, or of this process; or SIGSTOP of it."""
        from failover.engine.strike import CLI, PAUSE

        if victim in (CLI, PAUSE):
            os.kill(os.getpid(), signal.SIGKILL if victim == CLI else signal.SIGSTOP)
            return
        lock = self._state_dir / "sites" / victim / "run" / "agent.lock"
        pid = int(lock.read_text() or "0") if lock.exists() else 0
        words = Path(f"/proc/{pid}/cmdline")
        # A pid of the past may be anybody's by now.
        if pid and words.exists() and str(self._state_dir).encode() in words.read_bytes():
            os.kill(pid, signal.SIGKILL)

    def _tls(self) -> ssl.SSLContext:
        _read(self._trust / "operator.pem")
        context = ssl.create_default_context(cafile=str(self._trust / "ca.pem"))
        context.load_cert_chain(self._trust / "operator.pem", self._trust / "operator.key")
        return context


class _Signing:
    """Signs changes with the operator's key; the key is read when the first change is made."""

    def __init__(self, fleet: str, trust: Path) -> None:
        self._fleet = fleet
        self._trust = trust
        self._signer: Signer | None = None

    def sign(self, purpose: str, site: str, body: bytes) -> bytes:
        """The envelope for ``body``."""
        from failover.trust.signatures import Signer, Statement

        if self._signer is None:
            key, certificate = _read(self._trust / "operator.key"), _read(self._trust / "operator.pem")
            self._signer = Signer(key_pem=key, certificate_pem=certificate)
        statement = Statement(
            purpose=purpose,
            fleet=self._fleet,
            site=site,
            serial=os.urandom(16).hex(),
            expires_unix_s=time.time() + _SIGNATURE_LIFE_S,
            body=body,
        )
        return self._signer.sign(statement)


class _Enrolling:
    """The operator's side of an enrolment: proves the token, then signs the host's own key."""

    def __init__(self, fleet: Fleet, trust: Path) -> None:
        self._fleet = fleet
        self._trust = trust

    def begin(self, name: str, token: Secret) -> tuple[bytes, Callable[[bytes], bytes]]:
        """The greeting, and what turns the host's answer into the grant. That raises ``Denied`` for a stranger."""
        from failover.errors import Denied
        from failover.trust import enrolment
        from failover.trust.ca import Authority

        greeting = enrolment.hello(token)
        address = self._fleet.site(name).address

        def finish(answer: bytes) -> bytes:
            try:
                request = msgspec.json.decode(answer, type=enrolment.Request)
            except msgspec.MsgspecError as error:
                raise Denied(f"what answers at {address} is no agent of this fleet") from error
            proven = enrolment.accept(token, greeting, request)
            certificate = Authority(self._trust).issue(proven, common_name=name, address=address)
            return msgspec.json.encode(enrolment.grant(token, greeting, certificate))

        return msgspec.json.encode(greeting), finish


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError(
            f"{path} is missing: this machine does not hold the fleet's trust material",
            hint="failover init makes a new fleet; else restore the state folder's trust/ from its copy",
        ) from error


def _spare_httpx_its_command() -> None:
    """httpx imports its own command line, and with it click and rich, wherever those are installed: half of what
    importing it costs. It has a way for when they are not."""
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]


def _digest() -> str:
    """Of the package's own files: what a host is told to run."""
    package = Path(failover.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
