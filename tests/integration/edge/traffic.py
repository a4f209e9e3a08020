"""Small real app processes behind an edge and keep-alive clients in front of it, all in one event loop.

Clients never try again by themselves: whatever went wrong is counted, so a test sees what a person would have seen.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

# The answer to the key of RFC 6455's own example; HAProxy checks it.
WEBSOCKET = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


class AppProcess:
    """Answers any path with what it received. ``/drop`` closes without an answer, ``/slow`` takes a while."""

    def __init__(self, site: str, name: str, address: str, port: int) -> None:
        self.site, self.name, self.address, self.port = site, name, address, port
        self.healthy = True
        self.received: Counter[str] = Counter()
        self._server: asyncio.Server | None = None
        self._talks: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, self.address, self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in self._talks.values():
                writer.transport.abort()
            await asyncio.gather(*self._talks)
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks[talk] = writer
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                lines = head.split("\r\n")
                method, path, _ = lines[0].split(" ")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                await reader.readexactly(int(headers.get("content-length", "0")))
                self.received[f"{method} {path}"] += 1
                if path == "/drop":
                    return
                if path == "/slow":
                    await asyncio.sleep(0.3)
                if path == "/ws":
                    writer.write(WEBSOCKET)
                    while said := await reader.read(100):
                        writer.write(said)
                    return
                if path == "/stream":
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: open\n\n")
                    await reader.read()
                    return
                status = "200 OK" if self.healthy or path != "/health" else "503 Service Unavailable"
                body = json.dumps({"site": self.site, "process": self.name, "headers": headers}).encode()
                writer.write(
                    f"HTTP/1.1 {status}\r\nX-Served-By: app\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
                )
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            del self._talks[talk]
            writer.close()


@dataclass
class Answer:
    """One answer as the client saw it."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def served_by(self) -> str:
        return self.headers.get("x-served-by", "")

    @property
    def seen(self) -> dict[str, str]:
        """The request's headers as the app process received them."""
        return dict(json.loads(self.body)["headers"])


class Client:
    """One keep-alive connection to one edge; opened again when the last answer asked for it."""

    def __init__(self, address: str, port: int, *, source: str = "") -> None:
        self._place = (address, port)
        self._source = (source, 0) if source else None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self.opened = 0

    async def ask(
        self, path: str = "/", *, method: str = "GET", headers: dict[str, str] | None = None, within_s: float = 10.0
    ) -> Answer:
        """Raises ``OSError``, ``EOFError`` or ``TimeoutError``; the connection is closed then."""
        try:
            async with asyncio.timeout(within_s):
                return await self._ask(path, method, headers or {})
        except BaseException:
            self.close()
            raise

    async def _ask(self, path: str, method: str, headers: dict[str, str]) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self._place, local_addr=self._source)
            self.opened += 1
        reader, writer = self._streams
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: app.test\r\n{more}Content-Length: 0\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        if fields.get("connection", "").lower() == "close":
            self.close()
        return Answer(int(head[0].split(" ")[1]), fields, body)

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


@dataclass
class Tally:
    """What many clients saw together. ``answers`` are (moment, seconds it took, served by)."""

    answers: list[tuple[float, float, str]] = field(default_factory=list)
    errors: list[tuple[float, float, str]] = field(default_factory=list)

    @property
    def slowest_s(self) -> float:
        return max((took for _, took, _ in self.answers + self.errors), default=0.0)

    def by(self, *, after: float) -> Counter[str]:
        """Who answered the requests that began after this moment."""
        return Counter(site for moment, _, site in self.answers if moment > after)


async def load(clients: list[Client], tally: Tally, *, until: asyncio.Event, pause_s: float = 0.02) -> None:
    """Every client asks again and again, each on its own connection, until the event."""
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            group.create_task(_ask_on(client, tally, until, pause_s, number / len(clients)))


async def _ask_on(client: Client, tally: Tally, until: asyncio.Event, pause_s: float, offset: float) -> None:
    await asyncio.sleep(pause_s * offset)
    count = 0
    while not until.is_set():
        count += 1
        begun = time.monotonic()
        try:
            answer = await client.ask(method="POST" if count % 5 == 0 else "GET")
        except (OSError, EOFError, TimeoutError) as error:
            tally.errors.append((begun, time.monotonic() - begun, type(error).__name__))
        else:
            took = time.monotonic() - begun
            if answer.status == 200:
                tally.answers.append((begun, took, answer.served_by))
            else:
                tally.errors.append((begun, took, str(answer.status)))
        await asyncio.sleep(pause_s)
    client.close()


async def arrived(come: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Look again every 10 ms, letting the others run, until it is so; fails after ``within_s``."""
    end = time.monotonic() + within_s
    while not come():
        assert time.monotonic() < end, "it did not come true in time"
        await asyncio.sleep(0.01)
