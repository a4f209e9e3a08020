"""The stats socket adapter on real HAProxy: repeatable, quick, and an error within its deadline when nobody answers."""

from __future__ import annotations

import asyncio
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from failover.adapters.haproxy import Edge
from failover.errors import OutcomeUnknown, Unreachable
from failover.planner.hostspec_edge import STATS_SOCKET
from tests.integration.edge.conftest import Edges

Running = Callable[[], AbstractAsyncContextManager[Edges]]


def test_every_change_may_be_repeated(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edge, target = edges.edge["beta"], edges.site("alpha")
            for _ in range(3):
                facts = edge.forward_to(target.address, target.ports.forward)
                assert (facts.forwarding, facts.target_up) == (True, True)
                assert facts.target == f"{target.address}:{target.ports.forward}"
            for _ in range(3):
                assert not edge.serve_locally().forwarding
            for _ in range(3):
                assert edge.cut_forwarded().forwarded_sessions == 0

    asyncio.run(scenario())


def test_another_address_is_taken_and_the_way_back_too(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edge, target = edges.edge["beta"], edges.site("alpha")
            assert edge.forward_to(f"{edges.block}.9", 4711).target == f"{edges.block}.9:4711"
            # Nobody is there: the own processes take it.
            assert (await edges.client("beta").ask()).served_by == "beta"
            assert edge.forward_to(target.address, target.ports.forward).target_up
            assert (await edges.client("beta").ask()).served_by == "alpha"

    asyncio.run(scenario())


def test_an_edge_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        Edge(tmp_path / "no.sock").forward_to("127.0.0.1", 1)
    assert not isinstance(caught.value, OutcomeUnknown)


def test_a_frozen_edge_is_unreachable_within_the_deadline(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            edges.host["beta"].signal("edge", signal.SIGSTOP)
            for call in (edges.edge["beta"].facts, edges.edge["beta"].serve_locally, edges.edge["beta"].cut_forwarded):
                begun = time.monotonic()
                with pytest.raises(Unreachable):
                    call()
                assert time.monotonic() - begun < 1.0

    asyncio.run(scenario())


def test_silence_after_a_change_was_sent_is_an_unknown_outcome(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        listener.settimeout(5)
        # Answers the greeting that is to come, then nothing: the bytes are in the socket before the client connects.
        edge = Edge(tmp_path / "s", deadline_s=0.2)

        async def scenario() -> object:
            calling = asyncio.create_task(asyncio.to_thread(edge.serve_locally))
            talk, _ = await asyncio.to_thread(listener.accept)
            talk.sendall(b"\n> ")
            with talk:
                return type((await asyncio.gather(calling, return_exceptions=True))[0])

        assert asyncio.run(scenario()) is OutcomeUnknown


def test_a_refused_change_is_not_taken_for_done(running: Running) -> None:
    async def scenario() -> None:
        async with running() as edges:
            with pytest.raises(Unreachable, match="did not take the change"):
                edges.edge["beta"].forward_to("2001:db8::1", 99999)

    asyncio.run(scenario())


def test_a_path_too_long_for_a_socket_is_reached(running: Running, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running() as edges:
            deep = tmp_path / ("d" * 60) / ("e" * 60)
            deep.mkdir(parents=True)
            (deep / "edge.sock").symlink_to(edges.host["beta"].folder / STATS_SOCKET)
            assert Edge(deep / "edge.sock").facts() == edges.edge["beta"].facts()

    asyncio.run(scenario())
