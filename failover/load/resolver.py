"""The app's public name -> addresses, asked of the fleet's authoritative servers, kept for exactly the answer's TTL.

Never stale: past its TTL an answer is gone, even when no server answers any more (some real resolvers would go on
serving it; that only helps while the address lives). Must never be here: which address to use (addresses).
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Callable, Sequence

import dns.asyncquery
import dns.exception
import dns.message
import dns.rdatatype

from failover.errors import Unreachable
from failover.load.clock import boottime_s

ANSWER_WITHIN_S = 0.3


class Resolver:
    """Answers ``addresses()`` from the cache, else asks one server after the other, beginning with the one that
    answered last. Many callers at once cost one question. An address literal is its own answer."""

    def __init__(
        self,
        *,
        name: str,
        servers: Sequence[str],
        answer_within_s: float = ANSWER_WITHIN_S,
        clock: Callable[[], float] = boottime_s,
    ) -> None:
        self._name = name
        self._servers = [_split(server) for server in servers]
        self._answer_within_s = answer_within_s
        self._clock = clock
        self._addresses: tuple[str, ...] = ()
        self._good_until_s = float("inf") if _is_address(name) else float("-inf")
        if _is_address(name):
            self._addresses = (name,)
        self._asking: asyncio.Task[None] | None = None
        self.questions = 0

    def cached(self) -> tuple[str, ...]:
        """The RRset while its TTL lasts, else nothing."""
        return self._addresses if self._clock() < self._good_until_s else ()

    async def addresses(self) -> tuple[str, ...]:
        """The RRset, never empty. Raises ``Unreachable`` when no server gave one; ask again later."""
        if cached := self.cached():
            return cached
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        # Shielded: a caller whose time is up must not take the question away from the others.
        await asyncio.shield(self._asking)
        return self._addresses

    async def _ask(self) -> None:
        trouble: list[str] = []
        for address, port in list(self._servers):
            answer = await self._ask_one(address, port)
            if isinstance(answer, str):
                trouble.append(f"{address}:{port} {answer}")
                continue
            self._addresses, ttl_s = answer
            self._good_until_s = self._clock() + ttl_s
            # Whoever answered is asked first next time; a dead server costs its timeout once, not at each expiry.
            self._servers.remove((address, port))
            self._servers.insert(0, (address, port))
            return
        raise Unreachable(f"no DNS server gave an address of {self._name}", where="; ".join(trouble) or "no servers")

    async def _ask_one(self, address: str, port: int) -> tuple[tuple[str, ...], float] | str:
        """The addresses and their TTL, or why there are none from this server."""
        self.questions += 1
        query = dns.message.make_query(self._name, dns.rdatatype.A)
        try:
            response, _ = await dns.asyncquery.udp_with_fallback(
                query, address, port=port, timeout=self._answer_within_s
            )
            if not isinstance(response, dns.message.QueryMessage):
                return "answered something else"
            chain = response.resolve_chaining()
        except dns.exception.Timeout:
            return f"silent for {self._answer_within_s:g} s"
        except (dns.exception.DNSException, OSError, EOFError) as failure:
            return type(failure).__name__
        if chain.answer is None:
            return "has no such record"
        return tuple(sorted(record.address for record in chain.answer)), float(chain.minimum_ttl)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _split(server: str) -> tuple[str, int]:
    """``127.0.0.1:53`` or ``[::1]:53``. Raises ``ValueError``."""
    address, separator, port = server.rpartition(":")
    if not separator:
        raise ValueError(f"not address:port: {server!r}")
    return str(ipaddress.ip_address(address.strip("[]"))), int(port)
