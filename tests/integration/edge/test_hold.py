"""The edge of an app without a gate, on real HAProxy: what a hold and a move behind it cost its clients (nothing)."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import pytest

from failover.agent.view import boot_s
from failover.errors import Refused
from failover.ports.probe import GateAnswer
from tests.integration.edge.conftest import Edges
from tests.integration.edge.traffic import Tally, arrived, load

Holding = Callable[[], AbstractAsyncContextManager[Edges]]
SITES = ("alpha", "beta")


async def tell(edges: Edges, state: str, primary: str, *, wait_s: float = 0.0) -> list[GateAnswer]:
    """What the agents tell both edges: the same, side by side."""
    calls = (
        edges.hold[site].tell(state=state, primary=primary, epoch=1, fresh_until_s=boot_s() + 60, wait_s=wait_s)
        for site in SITES
    )
    return list(await asyncio.gather(*calls))


async def opened(edges: Edges, primary: str) -> None:
    """Tell it until both say that they are open: the app at the new primary may still be starting."""
    end = time.monotonic() + 10
    while {answer.state for answer in await tell(edges, "open", primary)} != {"open"}:
        assert time.monotonic() < end, "an edge stayed held"
        await asyncio.sleep(0.02)


def received(edges: Edges, site: str) -> int:
    """Requests that reached the site's processes, without the edge's own health checks."""
    return sum(count for app in edges.apps[site] for what, count in app.received.items() if "/health" not in what)


@contextlib.asynccontextmanager
async def under_load(edges: Edges, tally: Tally, *, each: int = 8):  # type: ignore[no-untyped-def]
    """Keep-alive clients at both edges; every request that fails is an error, none is tried again."""
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        clients = [edges.client(site) for site in SITES for _ in range(each)]
        group.create_task(load(clients, tally, until=over))
        await arrived(lambda: len(tally.answers) > 4 * each)
        yield
        seen = len(tally.answers)
        await arrived(lambda: len(tally.answers) > seen + 4 * each)
        over.set()


def test_five_holds_under_load_cost_nobody_an_error_and_nothing_passes_them(holding: Holding) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            edges.move_to("alpha")
            await opened(edges, "alpha")
            tally = Tally()
            async with under_load(edges, tally):
                for _ in range(5):
                    held = await tell(edges, "hold", "alpha", wait_s=1.0)
                    assert [answer.state for answer in held] == ["hold", "hold"]
                    assert sum(answer.in_flight for answer in held) == 0
                    before = received(edges, "alpha"), received(edges, "beta")
                    await asyncio.sleep(0.3)
                    again = await tell(edges, "hold", "alpha")
                    assert (received(edges, "alpha"), received(edges, "beta")) == before
                    assert sum(answer.waiting for answer in again) == 16
                    await opened(edges, "alpha")
                    await asyncio.sleep(0.1)
            assert tally.errors == []
            assert 0.3 < tally.slowest_s < 1.5

    asyncio.run(scenario())


async def stop_apps(edges: Edges, site: str) -> None:
    for app in edges.apps[site]:
        await app.stop()


@pytest.mark.parametrize("by_hold", [True, False], ids=["held", "without the hold"])
def test_a_move_with_the_app_at_the_primary_only(holding: Holding, by_hold: bool) -> None:
    """The app runs where the primary is: stopped at one side, started at the other, in the middle of the load."""

    async def scenario() -> None:
        async with holding() as edges:
            await stop_apps(edges, "beta")
            edges.move_to("alpha")
            await opened(edges, "alpha")
            tally = Tally()
            async with under_load(edges, tally):
                if by_hold:
                    await tell(edges, "hold", "alpha", wait_s=1.0)
                await stop_apps(edges, "alpha")
                await asyncio.sleep(0.2)
                for app in edges.apps["beta"]:
                    await app.start()
                moved = time.monotonic()
                await opened(edges, "beta")
                edges.move_to("beta")
                await arrived(lambda: len(tally.by(after=moved)) > 0)
            assert set(tally.by(after=moved + 1.0)) <= {"beta"}
            assert tally.by(after=moved)["beta"] > 30
            if by_hold:
                assert tally.errors == []
            else:
                # Negative control: the load would notice a move that holds nobody.
                assert len(tally.errors) > 10

    asyncio.run(scenario())


def test_an_edge_opens_only_once_its_app_can_serve(holding: Holding) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            await tell(edges, "hold", "alpha")
            await stop_apps(edges, "alpha")
            await arrived(lambda: not any(backend.up for backend in edges.edge["alpha"].facts().backends))
            waiting = asyncio.create_task(edges.client("alpha").ask())
            assert [answer.state for answer in await tell(edges, "open", "alpha")] == ["hold", "open"]
            await edges.apps["alpha"][0].start()
            await opened(edges, "alpha")
            assert (await waiting).served_by == "alpha"

    asyncio.run(scenario())


def test_who_was_sent_to_a_primary_that_died_is_served_by_the_next_one(holding: Holding) -> None:
    """They tried the dead one for five seconds and were then refused, long after the other side served."""

    async def scenario() -> None:
        async with holding() as edges:
            edges.move_to("alpha")
            await opened(edges, "alpha")
            edges.host["alpha"].kill("edge")
            asked = [asyncio.create_task(edges.client("beta").ask(within_s=30.0)) for _ in range(8)]
            await arrived(lambda: edges.edge["beta"].facts().http_sessions >= len(asked))
            edges.edge["beta"].serve_locally()
            beta = edges.hold["beta"]
            told = await beta.tell(state="open", primary="beta", epoch=2, fresh_until_s=boot_s() + 60)
            assert told.state == "open"
            answers = await asyncio.gather(*asked)
            assert {(answer.status, answer.served_by) for answer in answers} == {(200, "beta")}
            # And back: nobody is led in a circle once the other side is primary again.
            edges.host["alpha"].start("edge")
            await opened(edges, "alpha")
            edges.move_to("alpha")
            assert (await edges.client("beta").ask(within_s=30.0)).served_by == "alpha"

    asyncio.run(scenario())


def test_a_stream_passes_the_hold_and_ends_with_the_move(holding: Holding) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            edges.move_to("alpha")
            await opened(edges, "alpha")
            place = edges.site("alpha")
            reader, writer = await asyncio.open_connection(place.address, place.ports.edge)
            writer.write(b"GET /stream HTTP/1.1\r\nHost: app.test\r\n\r\n")
            assert b"data: open" in await reader.readuntil(b"data: open\n\n")
            (held, _) = await tell(edges, "hold", "alpha", wait_s=1.0)
            assert (held.state, held.in_flight, held.streams) == ("hold", 0, 1)
            rest = asyncio.create_task(reader.read())
            await asyncio.sleep(0.2)
            assert not rest.done(), "the hold let it live"
            late = asyncio.create_task(edges.client("beta").ask("/stream", within_s=3.0))
            await asyncio.sleep(0.1)
            assert not late.done(), "a stream opened during the hold waits for its end"
            await opened(edges, "beta")
            assert await asyncio.wait_for(rest, 2.0) is not None
            assert (await tell(edges, "open", "beta"))[0].streams == 0
            with contextlib.suppress(EOFError, TimeoutError):
                await late
            assert sum(app.received["GET /stream"] for app in edges.apps["beta"]) == 1
            writer.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("size", "in_flight"), [(2_000, 0), (200_000, 1)], ids=["small", "large"])
def test_a_small_body_sent_slowly_waits_at_the_edge_and_a_large_one_is_in_flight(
    holding: Holding, size: int, in_flight: int
) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            edges.move_to("alpha")
            await opened(edges, "alpha")
            place = edges.site("alpha")
            reader, writer = await asyncio.open_connection(place.address, place.ports.edge)
            writer.write(f"POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: {size}\r\n\r\n".encode())
            writer.write(b"x" * (size // 2))
            await writer.drain()
            await asyncio.sleep(0.2)
            (held, _) = await tell(edges, "hold", "alpha", wait_s=0.2)
            assert (held.state, held.in_flight) == ("hold", in_flight)
            writer.write(b"x" * (size - size // 2))
            await opened(edges, "alpha")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            writer.close()

    asyncio.run(scenario())


def test_a_version_that_aborts_on_a_release_holds_nothing(holding: Holding, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            monkeypatch.setattr("failover.adapters.haproxy_hold.OLDEST", (9, 0))
            with pytest.raises(Refused, match="aborts"):
                await edges.hold["alpha"].tell(state="hold", primary="alpha", epoch=1, fresh_until_s=0.0)
            edges.edge["alpha"].facts()

    asyncio.run(scenario())


def test_past_its_freshness_an_edge_asks_nobody_by_itself(holding: Holding) -> None:
    """A host that was frozen wakes with a proxy that is open, and an agent that has not said a word yet."""

    async def scenario() -> None:
        async with holding() as edges:
            assert (await edges.client("alpha").ask()).status == 503, "nothing is known yet"
            edges.move_to("alpha")
            await opened(edges, "alpha")
            client = edges.client("alpha")
            assert (await client.ask()).status == 200
            told = edges.hold["alpha"].tell(state="open", primary="alpha", epoch=1, fresh_until_s=boot_s() + 6.0)
            assert (await told).state == "open"
            assert (await client.ask()).status == 200
            before = received(edges, "alpha")
            edges.host["alpha"].signal("edge", signal.SIGSTOP)
            await asyncio.sleep(6.2)
            edges.host["alpha"].signal("edge", signal.SIGCONT)
            answers = await asyncio.gather(*(edges.client("alpha").ask() for _ in range(20)))
            assert {answer.status for answer in answers} == {503}
            assert received(edges, "alpha") == before
            await opened(edges, "alpha")
            assert (await client.ask()).status == 200
            late = edges.hold["alpha"].tell(state="open", primary="alpha", epoch=1, fresh_until_s=boot_s() + 0.3)
            assert (await late).state == "hold", "nearly too old: who comes now waits and is not refused"

    asyncio.run(scenario())


def test_a_quiesce_waits_for_slow_requests_and_everybody_else_is_served(holding: Holding) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            edges.move_to("alpha")
            await opened(edges, "alpha")
            place = edges.site("alpha")
            reader, writer = await asyncio.open_connection(place.address, place.ports.edge)
            writer.write(b"POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
            await writer.drain()
            await asyncio.sleep(0.2)
            quiet = asyncio.create_task(tell(edges, "quiesce", "alpha", wait_s=5.0))
            await asyncio.sleep(0.2)
            assert (await edges.client("beta").ask(within_s=1.0)).served_by == "alpha"
            poll = asyncio.create_task(edges.client("alpha").ask("/poll"))
            await asyncio.sleep(0.3)
            assert not poll.done(), "a slow request that comes now waits for the other side"
            assert not quiet.done(), "the upload is waited for"
            writer.write(b"x" * 100_000)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            answers = await asyncio.wait_for(quiet, 2.0)
            assert [(answer.state, answer.in_flight) for answer in answers] == [("open", 0), ("open", 0)]
            assert not poll.done()
            await opened(edges, "alpha")
            assert (await poll).status == 200
            writer.close()

    asyncio.run(scenario())


def test_a_slow_request_past_its_budget_is_counted(holding: Holding) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            edges.move_to("alpha")
            await opened(edges, "alpha")
            place = edges.site("alpha")
            _, writer = await asyncio.open_connection(place.address, place.ports.edge)
            writer.write(b"POST /upload HTTP/1.1\r\nHost: app.test\r\nContent-Length: 200000\r\n\r\n" + b"x" * 100_000)
            await writer.drain()
            await asyncio.sleep(0.2)
            answers = await tell(edges, "quiesce", "alpha", wait_s=0.3)
            assert [answer.in_flight for answer in answers] == [1, 0]
            writer.close()

    asyncio.run(scenario())


def test_a_websocket_lives_through_a_hold_and_ends_with_the_move(holding: Holding) -> None:
    async def scenario() -> None:
        async with holding() as edges:
            edges.move_to("alpha")
            await opened(edges, "alpha")
            reader, writer = await websocket(edges, "alpha")
            await tell(edges, "hold", "alpha", wait_s=1.0)
            writer.write(b"during the hold")
            assert await asyncio.wait_for(reader.readexactly(15), 2.0) == b"during the hold"
            await opened(edges, "beta")
            with contextlib.suppress(ConnectionError):
                assert await asyncio.wait_for(reader.read(), 2.0) == b""
            writer.close()
            # The edge that is no primary any more still leads there who asks it itself, and lets it stay.
            again, writer = await websocket(edges, "alpha")
            writer.write(b"at the new one")
            assert await asyncio.wait_for(again.readexactly(14), 2.0) == b"at the new one"
            assert sum(app.received["GET /ws"] for app in edges.apps["beta"]) == 1
            writer.close()

    asyncio.run(scenario())


async def websocket(edges: Edges, site: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    place = edges.site(site)
    reader, writer = await asyncio.open_connection(place.address, place.ports.edge)
    writer.write(b"GET /ws HTTP/1.1\r\nHost: app.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
    writer.write(b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3.0)).decode().lower()
    assert head.startswith("http/1.1 101")
    assert "connection: upgrade" in head
    return reader, writer
