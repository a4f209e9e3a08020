"""Two data sites' edges, real HAProxy from real HostSpecs, with two small app processes each."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from failover.adapters.haproxy import Edge
from failover.adapters.haproxy_hold import HttpHold
from failover.model.fleet import App, AppClass, Fleet, HttpPaths, Service, Site
from failover.planner.hostspec import host_spec
from failover.planner.hostspec_edge import STATS_SOCKET
from tests.integration.edge.fleets import secrets, three_sites
from tests.integration.edge.hosts import RunningHost
from tests.integration.edge.traffic import AppProcess, Client, arrived

_blocks = itertools.count(130)


class Edges:
    """alpha and beta: ``edge[site]`` to turn them, ``apps[site]`` behind them, ``host[site]`` to hurt them."""

    def __init__(self, block: str, fleet: Fleet) -> None:
        self.block = block
        self.fleet = fleet
        self.edge: dict[str, Edge] = {}
        self.hold: dict[str, HttpHold] = {}
        self.apps: dict[str, list[AppProcess]] = {}
        self.host: dict[str, RunningHost] = {}

    def site(self, name: str) -> Site:
        return self.fleet.site(name)

    def client(self, site: str) -> Client:
        return Client(self.site(site).address, self.site(site).ports.edge)

    def move_to(self, primary: str) -> None:
        """What the agents do after a move: the primary's edge first, so that nobody is sent in a circle."""
        target = self.site(primary)
        self.edge[primary].serve_locally()
        for site in self.fleet.data_sites:
            if site.name != primary:
                self.edge[site.name].forward_to(target.address, target.ports.forward)


def plain_app() -> App:
    """An app that is not ours: no gate of its own, so the edge holds its requests (class G3)."""
    return App(
        name="app",
        promise=AppClass.G3,
        http=HttpPaths(streams=("/stream", "/ws"), slow=("/poll",)),
        services=tuple(
            Service(name=name, command=("python", "-m", "app"), port=port, gate=False)
            for name, port in (("web-1", 9001), ("web-2", 9002))
        ),
    )


@contextlib.asynccontextmanager
async def _running(folder: Path, **of_fleet: object) -> AsyncIterator[Edges]:
    block = f"127.85.{next(_blocks)}"
    edges = Edges(block, three_sites(block, **of_fleet))
    async with contextlib.AsyncExitStack() as stack:
        for site in edges.fleet.data_sites:
            edges.apps[site.name] = []
            for service in edges.fleet.app.services:
                if service.port:
                    app = AppProcess(site.name, service.name, site.address, service.port)
                    await app.start()
                    stack.push_async_callback(app.stop)
                    edges.apps[site.name].append(app)
            host = RunningHost(folder / site.name, host_spec(edges.fleet, site, secrets(), serial=1))
            edges.host[site.name] = stack.enter_context(host)
            host.start("edge")
            # It binds TCP ports first, its own socket last.
            await arrived((host.folder / STATS_SOCKET).exists)
            edges.edge[site.name] = Edge(host.folder / STATS_SOCKET)
            peers = {s.name: (s.address, s.ports.forward) for s in edges.fleet.data_sites if s.name != site.name}
            # A busy machine is no edge that does not answer.
            socket = host.folder / STATS_SOCKET
            edges.hold[site.name] = HttpHold(socket, site=site.name, peers=peers, deadline_s=5.0)
        await arrived(lambda: all(backend.up for edge in edges.edge.values() for backend in edge.facts().backends))
        yield edges


@pytest.fixture
def running(tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Edges]]:
    """``async with running() as edges``: everything in it is gone afterwards."""
    return lambda: _running(tmp_path)


@pytest.fixture
def holding(tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Edges]]:
    """The same in front of an app without gates: ``edges.hold[site]`` holds what comes in."""
    return lambda: _running(tmp_path, app=plain_app())
