"""What breaks around an edge on real HAProxy: the target dies or freezes, processes die, a request is half done."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.integration.edge.conftest import Edges
from tests.integration.edge.traffic import Client, Tally, arrived, load

Running = Callable[[], AbstractAsyncContextManager[Edges]]
CLIENTS = 10


async def loaded(edges: Edges, site: str, hurt: Callable[[], object]) -> tuple[Tally, float]:
    """Load on one site's edge; ``hurt`` after half a second; goes on for four more. The tally and the moment."""
    tally, over = Tally(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(load([edges.client(site) for _ in range(CLIENTS)], tally, until=over))
        await asyncio.sleep(0.5)
        moment = time.monotonic()
        hurt()
        await asyncio.sleep(4.0)
        over.set()
    return tally, moment


def test_a_killed_target_costs_at_most_what_was_in_flight(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            tally, moment = await loaded(edges, "beta", lambda: edges.host["alpha"].kill("edge"))
            # Each client had one connection through the dead edge; a new one goes to the own processes at once.
            assert len(tally.errors) <= CLIENTS
            assert all(begun < moment + 1.5 for begun, _, _ in tally.errors)
            assert set(tally.by(after=moment + 1.5)) == {"beta"}

    asyncio.run(scenario())


def test_a_frozen_target_is_left_within_seconds(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            freeze = signal.SIGSTOP
            tally, moment = await loaded(edges, "beta", lambda: edges.host["alpha"].signal("edge", freeze))
            # Its kernel still accepts: only the HTTP check finds out, and the hanging sessions are ended then.
            assert len(tally.errors) <= 2 * CLIENTS
            assert set(tally.by(after=moment + 3.0)) == {"beta"}

    asyncio.run(scenario())


def test_sessions_to_a_target_known_dead_are_cut_at_once(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            clients = [edges.client("beta") for _ in range(4)]
            for client in clients:
                await client.ask()
            assert edges.edge["beta"].facts().forwarded_sessions == 4
            edges.host["alpha"].signal("edge", signal.SIGSTOP)
            hanging = [asyncio.create_task(client.ask()) for client in clients]
            await asyncio.sleep(0.05)
            edges.edge["beta"].serve_locally()
            edges.edge["beta"].cut_forwarded()
            ends = await asyncio.gather(*hanging, return_exceptions=True)
            assert all(isinstance(end, OSError | EOFError) for end in ends)
            assert edges.edge["beta"].facts().forwarded_sessions == 0
            assert (await clients[0].ask()).served_by == "beta"

    asyncio.run(scenario())


def test_a_primary_without_processes_is_passed_by(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            for app in edges.apps["alpha"]:
                app.healthy = False
            await arrived(lambda: not edges.edge["beta"].facts().target_up)
            assert (await edges.client("beta").ask()).served_by == "beta"
            for app in edges.apps["alpha"]:
                app.healthy = True
            await arrived(lambda: edges.edge["beta"].facts().target_up)
            assert (await edges.client("beta").ask()).served_by == "alpha"

    asyncio.run(scenario())


def test_a_process_that_dies_is_passed_by_without_an_error(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            tally, over = Tally(), asyncio.Event()
            async with asyncio.TaskGroup() as group:
                group.create_task(load([edges.client("alpha")], tally, until=over, pause_s=0.005))
                await asyncio.sleep(0.3)
                await edges.apps["alpha"][0].stop()
                await asyncio.sleep(1.0)
                over.set()
            assert [error for error in tally.errors if error[2] != "502"] == []
            # At most the one POST that was under way: it is never sent twice.
            assert len(tally.errors) <= 1
            assert not edges.edge["alpha"].facts().backends[0].up

    asyncio.run(scenario())


@pytest.mark.parametrize(("method", "times"), [("GET", 2), ("POST", 1), ("PUT", 1), ("DELETE", 1)])
def test_only_what_is_safe_twice_is_sent_twice(running: Running, method: str, times: int) -> None:
    async def scenario() -> None:
        async with running() as edges:
            answer = await edges.client("alpha").ask("/drop", method=method)
            assert answer.status == 502
            assert answer.served_by == "alpha"
            received = sum(app.received[f"{method} /drop"] for app in edges.apps["alpha"])
            assert received >= times if times > 1 else received == 1

    asyncio.run(scenario())


def test_an_edge_without_processes_says_503_and_who_says_it(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            for app in edges.apps["alpha"]:
                await app.stop()
            await arrived(lambda: not any(backend.up for backend in edges.edge["alpha"].facts().backends))
            answer = await Client(edges.site("alpha").address, edges.site("alpha").ports.edge).ask()
            assert (answer.status, answer.served_by) == (503, "alpha")

    asyncio.run(scenario())
