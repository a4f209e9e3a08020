"""One HTTP request to one of the name's addresses: the connecting, the address fallback, and what came of it.

Must never be here: retries and budgets (client), the schedule (generator).
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from failover.errors import Unreachable, UsageError
from failover.load.addresses import AddressBook
from failover.load.resolver import Resolver

# More than a stall of the whole budget can pile up, so that the limit never makes an open loop a closed one.
MOST_CONNECTIONS = 8192
MOST_KNOWN = 256
# Well below what servers keep an idle connection for: whoever closes first never loses a request to the other's close.
KEEP_ALIVE_S = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The base URL in parts. ``host`` is what is resolved, ``authority`` what the Host header says."""

    scheme: str
    host: str
    port: int
    authority: str
    prefix: str

    @classmethod
    def parse(cls, url: str) -> Target:
        """Raises ``UsageError`` when it is not ``http(s)://name[:port][/prefix]``."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise UsageError(f"not a base URL: {url}", hint="write http://name:port or https://name")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        return cls(
            scheme=parts.scheme,
            host=parts.hostname,
            port=port,
            authority=parts.netloc.rpartition("@")[2],
            prefix=parts.path.rstrip("/"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an attempt came to. ``why`` as in ``AttemptFailure`` ("" when a whole answer came)."""

    why: str
    address: str = ""
    status: int = 0
    headers: Mapping[str, str] | None = None
    body: bytes = b""


class Sender:
    """Holds the keep-alive connections. ``clock`` is CLOCK_BOOTTIME."""

    def __init__(
        self,
        *,
        target: Target,
        resolver: Resolver,
        book: AddressBook,
        connect_s: float,
        clock: Callable[[], float],
        ca_file: str = "",
    ) -> None:
        self._target = target
        self._resolver = resolver
        self._book = book
        self._connect_s = connect_s
        self._clock = clock
        self._tls = ssl.create_default_context(cafile=ca_file or None) if target.scheme == "https" else None
        self._urls: dict[tuple[str, str], URL] = {}
        self._usual = aiohttp.ClientTimeout(total=0, sock_connect=connect_s)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Sender:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, keepalive_timeout=KEEP_ALIVE_S, use_dns_cache=False),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        body: bytes,
        client: int,
        within_s: float,
        avoid: str = "",
        keep_body: bool = False,
    ) -> Answer:
        """One attempt: resolve, connect to the first address that takes it, send once, read the whole answer.

        Never raises for the network's sake. An address that refuses or does not connect in time costs no request:
        nothing was sent, the next one is tried within the same attempt.
        """
        now_s = self._clock()
        ends_s = now_s + within_s
        addresses = self._resolver.cached()
        if not addresses:
            try:
                async with asyncio.timeout(within_s):
                    addresses = await self._resolver.addresses()
            except (Unreachable, TimeoutError):
                return Answer(why="resolve")
        order = self._book.order(addresses, client=client, now_s=now_s, avoid=avoid)
        answer = Answer(why="connect")
        for address in order:
            left_s = ends_s - self._clock()
            if left_s <= 0:
                break
            whole_s = within_s if address == order[0] else left_s
            answer = await self._send_to(address, method, path, headers, body, whole_s, keep_body)
            if answer.why == "":
                self._book.alive(address)
                break
            if answer.why in ("connect", "timeout"):
                self._book.dead(address, now_s=self._clock())
            if answer.why != "connect":
                break
        return answer

    @contextlib.asynccontextmanager
    async def opened(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str],
        client: int,
        body: AsyncIterable[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """One attempt whose answer the caller reads as it comes, for as long as it lasts. An address that refuses costs
        nothing. Raises ``aiohttp.ClientError``, ``OSError``, ``TimeoutError`` or ``Unreachable``."""
        assert self._session is not None, "entered"
        addresses = self._resolver.cached() or await self._resolver.addresses()
        order = self._book.order(addresses, client=client, now_s=self._clock(), avoid="")
        for address in order:
            try:
                answer = await self._session.request(
                    method, self._url(address, path), headers={"Host": self._target.authority, **headers}, data=body,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_s), allow_redirects=False,
                    ssl=self._tls or False, server_hostname=self._target.host if self._tls else None,
                )  # fmt: skip
            except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError):
                self._book.dead(address, now_s=self._clock())
                if address == order[-1]:
                    raise
                continue
            try:
                yield answer
            finally:
                answer.close()
            return
        raise Unreachable("the name has no address")

    async def _send_to(
        self, address: str, method: str, path: str, headers: dict[str, str], body: bytes, within_s: float, keep: bool
    ) -> Answer:
        assert self._session is not None, "entered"
        try:
            async with self._session.request(
                method,
                self._url(address, path),
                headers={"Host": self._target.authority, **headers},
                data=body or None,
                timeout=self._timeout(within_s),
                allow_redirects=False,
                ssl=self._tls or False,
                server_hostname=self._target.host if self._tls else None,
            ) as response:
                content = await response.read()
                return Answer(
                    why="",
                    address=address,
                    status=response.status,
                    headers=response.headers,
                    body=content if keep else b"",
                )
        # Order matters: the connection errors are special cases of the ones below them.
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError):
            return Answer(why="connect", address=address)
        except TimeoutError:
            return Answer(why="timeout", address=address)
        except (aiohttp.ClientError, OSError):
            return Answer(why="lost", address=address)

    def _url(self, address: str, path: str) -> URL:
        """Built once for a path that does not change from request to request."""
        known = self._urls.get((address, path))
        if known is None:
            target = self._target
            host = f"[{address}]" if ":" in address else address
            known = URL(f"{target.scheme}://{host}:{target.port}{target.prefix}{path}", encoded=True)
            if len(self._urls) < MOST_KNOWN:
                self._urls[address, path] = known
        return known

    def _timeout(self, within_s: float) -> aiohttp.ClientTimeout:
        """A whole attempt's time is nearly always the same one."""
        rounded_s = round(within_s, 3)
        if self._usual.total != rounded_s:
            self._usual = aiohttp.ClientTimeout(total=rounded_s, sock_connect=self._connect_s)
        return self._usual
