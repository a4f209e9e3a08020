"""Probes of peers: PostgreSQL's first protocol byte, and the agents' state over mutual TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import struct

import httpx
import msgspec

from failover.model.observation import AgentState

# SSLRequest (PostgreSQL protocol, "Message Formats"): length 8, code 80877103; the answer is one byte, S or N.
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)

_CONNECT_S = 1.0
# Longer than PostgreSQL waits for a start-up packet; a peer that vanished without a word is not waited on for ever.
_WIRE_S = 90.0


class NetworkProbe:
    """Implements ``ports.probe.PeerProbe``."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        limits = httpx.Limits(max_keepalive_connections=8, keepalive_expiry=60.0)
        self._client = httpx.AsyncClient(verify=tls, limits=limits, trust_env=False)
        self._decoder = msgspec.json.Decoder(AgentState)

    async def database_answers(self, *, address: str, port: int, timeout_s: float) -> bool:
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await asyncio.open_connection(address, port)
                writer.write(_SSL_REQUEST)
                return await reader.read(1) in (b"S", b"N")
        except (OSError, TimeoutError):
            return False
        finally:
            if writer is not None:
                writer.transport.abort()

    async def database_hangs_up(self, *, address: str, port: int) -> bool:
        writer: asyncio.StreamWriter | None = None
        answered = False
        try:
            async with asyncio.timeout(_CONNECT_S):
                reader, writer = await asyncio.open_connection(address, port)
                writer.write(_SSL_REQUEST)
                answered = bool(await reader.read(1))
            async with asyncio.timeout(_WIRE_S):
                while answered and await reader.read(16):
                    continue
        except TimeoutError:
            return False
        except OSError:
            return answered
        else:
            return answered
        finally:
            if writer is not None:
                writer.transport.abort()

    async def agent_state(self, *, address: str, port: int, timeout_s: float) -> AgentState | None:
        return await self._state(f"https://{address}:{port}/v1/state", timeout_s)

    async def agent_serves(
        self, *, address: str, port: int, epoch: int, wait_s: float, timeout_s: float
    ) -> AgentState | None:
        url = f"https://{address}:{port}/v1/settled?serving&epoch={epoch}&wait_s={wait_s}"
        return await self._state(url, wait_s + timeout_s)

    async def _state(self, url: str, timeout_s: float) -> AgentState | None:
        try:
            answer = await self._client.get(url, timeout=timeout_s)
            return self._decoder.decode(answer.content) if answer.status_code == 200 else None
        except (httpx.HTTPError, msgspec.MsgspecError):
            return None

    async def nudge(self, *, address: str, port: int, timeout_s: float) -> None:
        with contextlib.suppress(httpx.HTTPError):
            await self._client.post(f"https://{address}:{port}/v1/nudge", timeout=timeout_s)

    async def close(self) -> None:
        await self._client.aclose()
