"""The gate of one app process over its unix socket: one JSON line there, one back. One kept connection."""

from __future__ import annotations

import asyncio

import msgspec

from failover.errors import Refused, Unreachable
from failover.ports.probe import GateAnswer


class _Line(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    state: str
    primary: str
    epoch: int
    fresh_until: float
    wait_s: float = 0.0


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    error: str = ""
    state: str = ""
    primary: str = ""
    epoch: int = 0
    in_flight: int = 0
    waiting: int = 0


class SocketGate:
    """Implements ``ports.probe.AppGate``."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()

    async def tell(
        self, *, state: str, primary: str, epoch: int, fresh_until_s: float, wait_s: float = 0.0
    ) -> GateAnswer:
        """See the port."""
        line = _Line(state=state, primary=primary, epoch=epoch, fresh_until=fresh_until_s, wait_s=wait_s)
        async with self._turn:
            try:
                async with asyncio.timeout(0.5 + wait_s):
                    reply = await self._exchange(msgspec.json.encode(line) + b"\n")
            except (OSError, TimeoutError, EOFError, msgspec.MsgspecError) as error:
                if self._streams is not None:
                    self._streams[1].transport.abort()
                    self._streams = None
                raise Unreachable(f"the gate at {self._path} does not answer") from error
        if reply.error:
            raise Refused(f"the gate at {self._path} refused: {reply.error}")
        return GateAnswer(
            state=reply.state,
            primary=reply.primary,
            epoch=reply.epoch,
            in_flight=reply.in_flight,
            waiting=reply.waiting,
        )

    async def _exchange(self, line: bytes) -> _Reply:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(self._path)
        reader, writer = self._streams
        writer.write(line)
        answer = await reader.readline()
        if not answer:
            raise EOFError
        return msgspec.json.decode(answer, type=_Reply)
