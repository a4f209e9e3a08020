"""Two data sites' edges, real HAProxy from real HostSpecs, with two small app processes each."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from failover.adapters.haproxy import Edge
from failover.model.fleet import Site
from failover.planner.hostspec import host_spec
from failover.planner.hostspec_edge import STATS_SOCKET
from tests.integration.edge.fleets import secrets, three_sites
from tests.integration.edge.hosts import RunningHost
from tests.integration.edge.traffic import AppProcess, Client, arrived

_blocks = itertools.count(130)


class Edges:
    """alpha and beta: ``edge[site]`` to turn them, ``apps[site]`` behind them, ``host[site]`` to hurt them."""

    def __init__(self, block: str) -> None:
        self.block = block
        self.fleet = three_sites(block)
        self.edge: dict[str, Edge] = {}
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


@contextlib.asynccontextmanager
async def _running(folder: Path) -> AsyncIterator[Edges]:
    edges = Edges(f"127.85.{next(_blocks)}")
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
        await arrived(lambda: all(backend.up for edge in edges.edge.values() for backend in edge.facts().backends))
        yield edges


@pytest.fixture
def running(tmp_path: Path) -> Callable[[], AbstractAsyncContextManager[Edges]]:
    """``async with running() as edges``: everything in it is gone afterwards."""
    return lambda: _running(tmp_path)
