"""The host process: wires adapters to the agent's parts and runs them. Started by the host's supervisor or systemd."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import ssl
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import msgspec
import uvicorn
from starlette.applications import Starlette

from failover import kernel
from failover.adapters.gate import SocketGate
from failover.adapters.haproxy import Edge
from failover.adapters.haproxy_hold import HttpHold
from failover.adapters.postgres import LocalPostgres
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.probe import NetworkProbe
from failover.adapters.processes import DetachedProcesses
from failover.adapters.record_etcd import EtcdRecordStore
from failover.adapters.record_etcd_leader import EtcdVoters
from failover.agent import api, enrol
from failover.agent.duties import Duties, Parts
from failover.agent.edge import EdgeLoop
from failover.agent.follower import Follower
from failover.agent.gates import Gates
from failover.agent.keeper import Keeper
from failover.agent.leader import LeaderLoop
from failover.agent.prober import Prober
from failover.agent.services import Services
from failover.agent.ship_loop import ShipLoop, hung_up_before
from failover.agent.strike import struck
from failover.agent.view import HostView
from failover.model import observation
from failover.model import record as record_values
from failover.model import spec as spec_values
from failover.model.bootstrap import Bootstrap
from failover.model.ready import ready
from failover.model.secret import Secret
from failover.model.spec import HostSpec, ServiceSpec, body_digest
from failover.model.version import VERSION
from failover.ports.database import Database, Upstream
from failover.ports.probe import AppGate
from failover.trust.ca import write_private
from failover.trust.signatures import Verifier

ready(observation, record_values, spec_values)
log = logging.getLogger("failover.agent")
_EDGE_SOCKET = "run/edge.sock"


class _Server(uvicorn.Server):
    """uvicorn without signal handlers: the agent's own loop ends it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield


class Agent:
    """One host's agent. ``run`` returns when there is news that its wiring depends on."""

    def __init__(self, host_dir: Path, bootstrap: Bootstrap) -> None:
        self._host_dir = host_dir
        self._bootstrap = bootstrap
        self._trust = enrol.HostTrust(host_dir, bootstrap)
        self._spec_file = host_dir / "spec.json"
        self._restart = asyncio.Event()

    async def run(self) -> bool:
        """Serve until enrolled, or until a spec changes the wiring. True: nothing was wired yet, so this process may
        go on; false: a new process should take over what runs."""
        listener = _listener(self._bootstrap.address, self._bootstrap.agent_port)
        if not self._trust.enrolled:
            await self._wait_for_enrolment(listener)
            return True
        view = HostView(host_dir=self._host_dir, site=self._bootstrap.site, provider=self._bootstrap.provider)
        processes = DetachedProcesses()
        duties = Duties(view, version=VERSION, processes=processes, on_spec=self._new_spec)
        spec = self._load_spec()
        self._view = view
        work: list[Coroutine[Any, Any, None]] = []
        if spec is not None:
            view.adopt_spec(spec, body_digest(self._spec_file.read_bytes()))
            work = self._wire(view, spec, duties, processes)
        verifier = Verifier(ca_pem=self._bootstrap.fleet_ca_pem, fleet=self._bootstrap.fleet, site=self._bootstrap.site)
        server = self._server(api.application(duties, verifier), self._trust.server_context())
        # Not before: hosts of one machine that start at the same time would keep each other's database from answering.
        kernel.hurry()
        tasks = [asyncio.create_task(one) for one in work]
        tasks.append(asyncio.create_task(server.serve(sockets=[listener]), name="api"))
        tasks.append(asyncio.create_task(self._restart_wait(), name="restart"))
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        server.should_exit = True
        for task in done:
            task.result()
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=1.0)
        listener.close()
        return spec is None

    async def _restart_wait(self) -> None:
        await self._restart.wait()
        await asyncio.sleep(0.05)  # let the answer to the request that asked for it leave

    def _server(self, application: Starlette, tls: ssl.SSLContext) -> _Server:
        config = uvicorn.Config(
            application, log_level="warning", access_log=False, lifespan="off", timeout_keep_alive=75, loop="none",
            ssl_certfile=str(self._trust.certificate), ssl_keyfile=str(self._trust.key),
        ) if self._trust.enrolled else uvicorn.Config(
            application, log_level="warning", access_log=False, lifespan="off", loop="none"
        )  # fmt: skip
        config.load()
        config.ssl = tls
        return _Server(config)

    async def _wait_for_enrolment(self, listener: socket.socket) -> None:
        enrolled = asyncio.Event()
        application = enrol.application(self._trust, Secret(self._bootstrap.token), enrolled)
        server = self._server(application, self._trust.provisional_context())
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        await enrolled.wait()
        server.should_exit = True
        await serving
        listener.close()

    def _load_spec(self) -> HostSpec | None:
        if not self._spec_file.exists():
            return None
        return msgspec.json.decode(self._spec_file.read_bytes(), type=HostSpec)

    def _new_spec(self, spec: HostSpec, body: bytes) -> None:
        """Services are reconciled in place; anything the wiring depends on is taken by a new process, which adopts
        what runs."""
        write_private(self._spec_file, body.decode())
        old = self._view.spec
        if old is None:
            self._restart.set()
            return
        blank = msgspec.structs.replace
        same_wiring = blank(old, serial=0, services=(), migrate=None) == blank(
            spec, serial=0, services=(), migrate=None
        )
        if same_wiring:
            self._view.adopt_spec(spec, body_digest(body))
        else:
            self._restart.set()

    def _wire(
        self, view: HostView, spec: HostSpec, duties: Duties, processes: DetachedProcesses
    ) -> list[Coroutine[Any, Any, None]]:
        client_tls = self._trust.client_context()
        store = EtcdRecordStore(fleet=spec.fleet, endpoints=spec.record_endpoints, tls=client_tls, hedge_s=0.3)
        follower = Follower(
            view, store, lease_file=self._host_dir / "run" / "keeper-lease.json", lease_ttl_s=spec.keeper_lease_s
        )
        services = Services(view, processes)
        parts = Parts(services=services, follower=follower)
        work = [follower.run(), services.run(), Prober(view, NetworkProbe(client_tls)).run()]
        if any(service.name == "etcd" for service in spec.services):
            own, pair = (EtcdVoters(endpoints=spec.record_endpoints[:n], tls=client_tls) for n in (1, 2))
            work.append(LeaderLoop(view, own=own, pair=pair).run())
        if spec.database is not None:
            peers = [Upstream(site=p.site, address=p.address, port=p.database_port) for p in spec.peers]
            files = PostgresFiles(
                host_dir=self._host_dir,
                site=spec.site,
                address=self._bootstrap.address,
                spec=spec.database,
                peers=[peer for peer in peers if peer.port],
            )
            database = LocalPostgres(files, processes)
            parts.database = database
            kept: Database = struck(database, self._host_dir)
            if spec.stores and spec.recipients:
                command = (sys.executable, "-m", __spec__.name, "--ship", "--host-dir", str(self._host_dir))
                parts.shipper = ShipLoop(view, command, log_file=self._host_dir / "log" / "ship.log")
                kept = hung_up_before(kept, parts.shipper.hang_up)
                work.append(parts.shipper.run())
            parts.gates = Gates(view, self._gate_of(spec))
            parts.keeper = Keeper(view, kept, struck(follower, self._host_dir), parts.gates)
            edge = EdgeLoop(view, Edge(self._host_dir / _EDGE_SOCKET))
            work += [follower.keep_lease(), parts.gates.run(), parts.keeper.run(), edge.run()]
        duties.parts = parts
        return work

    def _gate_of(self, spec: HostSpec) -> Callable[[ServiceSpec], AppGate]:
        """A process has its own gate; for an app without one the edge holds what comes in."""
        peers = {p.site: (p.address, p.edge_forward_port) for p in spec.peers if p.edge_forward_port}

        def make(service: ServiceSpec) -> AppGate:
            path = self._host_dir / service.gate
            return HttpHold(path, site=spec.site, peers=peers) if service.name == "edge" else SocketGate(str(path))

        return make


def _listener(address: str, port: int) -> socket.socket:
    """Its protocol is named: asyncio sets TCP_NODELAY only on sockets that say they are TCP, and without it every
    answer to a POST waited 40 ms for a delayed acknowledgement, twice within the pause of a move."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen(128)
    return listener


def _lock_for_life(host_dir: Path) -> int:
    """One agent per host (safety C3): the lock is held until this process ends. A predecessor that still holds it
    after a second is frozen or stuck, and is killed before anything is touched."""
    path = host_dir / "run" / "agent.lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    for attempt in range(200):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            text = os.pread(descriptor, 32, 0).decode() or "0"
            if attempt == 20 and int(text) > 1:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(text), signal.SIGKILL)
            time.sleep(0.05)
    else:
        sys.exit(f"another agent holds {path} and does not end")
    os.pwrite(descriptor, f"{os.getpid():<10}".encode(), 0)  # never empty for who reads it meanwhile
    return descriptor


async def _ship(host_dir: Path, bootstrap: Bootstrap) -> None:
    """The shipper's process (``agent/ship``): orders in, facts out, until the agent hangs up."""
    # What only this process needs: an agent is to be up at once.
    from failover.adapters.postgres_source import PostgresSource
    from failover.adapters.store_s3 import S3Store
    from failover.agent.ship import Shipper
    from failover.data.walship import Shipping
    from failover.model.observation import ShippingFacts
    from failover.planner.wal import SLOT, ShipOrder
    from failover.trust.seal import SealKey

    spec = msgspec.json.decode((host_dir / "spec.json").read_bytes(), type=HostSpec)
    if spec.database is None:
        sys.exit("a host without a database ships nothing")
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

    async def orders() -> AsyncIterator[ShipOrder]:
        while line := await reader.readline():
            yield msgspec.json.decode(line, type=ShipOrder)

    def say(facts: ShippingFacts) -> None:
        sys.stdout.buffer.write(msgspec.json.encode(facts) + b"\n")
        sys.stdout.buffer.flush()

    source = PostgresSource(
        address=bootstrap.address, port=spec.database.port, passfile=host_dir / "run" / "pgpass", name=SLOT,
        database=spec.database.database,
    )  # fmt: skip
    shipping = Shipping(
        fleet=spec.fleet,
        recipients=spec.recipients,
        stores=tuple(S3Store(store.place, store.key()) for store in spec.stores),
        slot=SLOT,
        seal=SealKey(Secret(spec.seal.secret)) if spec.seal is not None else None,
    )
    await Shipper(source, shipping, wanted_file=host_dir / "snapshot-wanted.json", say=say).run(orders())
    os._exit(0)  # a thread may still wait for somebody who does not answer


def main() -> None:
    """Command line: ``--host-dir DIR``; ``--ship``: be the host's WAL shipper."""
    parser = argparse.ArgumentParser(prog="failover agent")
    parser.add_argument("--host-dir", type=Path, required=True)
    parser.add_argument("--ship", action="store_true")
    asked = parser.parse_args()
    host_dir: Path = asked.host_dir.absolute()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    os.umask(0o077)
    bootstrap = msgspec.json.decode((host_dir / "bootstrap.json").read_bytes(), type=Bootstrap)
    if asked.ship:
        asyncio.run(_ship(host_dir, bootstrap))
        return
    kernel.join()
    lock = _lock_for_life(host_dir)
    while asyncio.run(Agent(host_dir, bootstrap).run()):
        log.warning("enrolled, or the first spec is here")
    log.warning("agent ends to be started anew")
    os.close(lock)


if __name__ == "__main__":
    main()
