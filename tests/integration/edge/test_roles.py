"""The edge's two roles on real HAProxy: who serves, whose address the app sees, and what a move costs (nothing)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from tests.integration.edge.conftest import Edges
from tests.integration.edge.traffic import Client, Tally, arrived, load

Running = Callable[[], AbstractAsyncContextManager[Edges]]


def test_until_told_an_edge_serves_with_its_own_processes(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            for site in ("alpha", "beta"):
                assert (await edges.client(site).ask()).served_by == site
                facts = edges.edge[site].facts()
                assert not facts.forwarding
                assert [backend.name for backend in facts.backends] == ["web-1", "web-2"]

    asyncio.run(scenario())


def test_a_standby_hands_on_to_the_primary_and_the_app_sees_the_clients_address(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            for site in ("alpha", "beta"):
                place = edges.site(site)
                client = Client(place.address, place.ports.edge, source=f"{edges.block}.77")
                lies = {"X-Forwarded-For": "198.51.100.9", "X-Served-By": "nobody", "Forwarded": "for=198.51.100.9"}
                answer = await client.ask(headers=lies)
                assert answer.served_by == "alpha"
                assert answer.seen["x-forwarded-for"] == f"{edges.block}.77"
                assert "x-served-by" not in answer.seen
                assert "forwarded" not in answer.seen
            assert edges.edge["beta"].facts().target_up

    asyncio.run(scenario())


def test_twenty_moves_under_load_cost_nobody_an_error(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            tally, over = Tally(), asyncio.Event()
            clients = [edges.client(site) for site in ("alpha", "beta") for _ in range(6)]
            async with asyncio.TaskGroup() as group:
                group.create_task(load(clients, tally, until=over))
                for number in range(20):
                    await asyncio.sleep(0.15)
                    primary = ("beta", "alpha")[number % 2]
                    edges.move_to(primary)
                    moved = time.monotonic()
                    # Connections pinned to the old side close with their next answer and come back to the right one.
                    await arrived(lambda m=moved, p=primary: _all_by(tally, after=m + 0.1, site=p, least=30))
                over.set()
            assert tally.errors == []
            assert tally.slowest_s < 1.0

    asyncio.run(scenario())


def _all_by(tally: Tally, *, after: float, site: str, least: int) -> bool:
    """The latest ``least`` requests that began after this moment were all answered by ``site``."""
    latest = [by for moment, _, by in tally.answers if moment > after][-least:]
    return len(latest) == least and set(latest) == {site}


def test_connections_stay_open_where_they_are_right(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            here, through = edges.client("alpha"), edges.client("beta")
            for _ in range(5):
                await here.ask()
                await through.ask()
            assert (here.opened, through.opened) == (1, 1)

    asyncio.run(scenario())


def test_a_request_in_flight_through_a_move_is_answered(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.move_to("alpha")
            asked = [asyncio.create_task(edges.client(site).ask("/slow")) for site in ("alpha", "beta")]
            await arrived(lambda: sum(app.received["GET /slow"] for app in edges.apps["alpha"]) == 2)
            edges.move_to("beta")
            assert [answer.status for answer in await asyncio.gather(*asked)] == [200, 200]

    asyncio.run(scenario())


def test_two_edges_that_send_to_each_other_make_no_circle(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            for site, other in (("alpha", "beta"), ("beta", "alpha")):
                target = edges.site(other)
                edges.edge[site].forward_to(target.address, target.ports.forward)
            assert (await edges.client("alpha").ask()).served_by == "beta"
            assert (await edges.client("beta").ask()).served_by == "alpha"

    asyncio.run(scenario())


async def speak_as(address: str, port: int, *, source: str) -> bytes:
    """Claim by PROXY to speak for somebody; the first line of the answer."""
    reader, writer = await asyncio.open_connection(address, port, local_addr=(source, 0))
    try:
        writer.write(b"PROXY TCP4 198.51.100.9 198.51.100.1 1 2\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return await asyncio.wait_for(reader.readuntil(b"\r\n"), 5)
    finally:
        writer.close()


def test_the_forward_port_is_closed_to_everybody_else(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            place = edges.site("alpha")
            for source in (f"{edges.block}.77", edges.site("gamma").address):
                with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                    await speak_as(place.address, place.ports.forward, source=source)
            neighbour = edges.site("beta").address
            assert b"200 OK" in await speak_as(place.address, place.ports.forward, source=neighbour)

    asyncio.run(scenario())
