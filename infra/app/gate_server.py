"""The gate's unix socket: JSON lines in, one JSON line back for each. Protocol only; what a line means is in gate.

Must never be here: who may write (file mode 0600 decides who may speak), the meaning of a state.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import stat
from pathlib import Path

import msgspec

from infra.app.gate import Gate, Refused, Request

LINE_LIMIT_BYTES = 64 * 1024
LONGEST_WAIT_S = 60.0

_log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(Request)


class GateServer:
    """Listens while it is entered; leaving it removes the socket."""

    def __init__(self, gate: Gate, path: Path) -> None:
        self._gate = gate
        self._path = path
        self._told = ""
        self._server: asyncio.AbstractServer | None = None
        self._speakers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> GateServer:
        self._server = await asyncio.start_unix_server(self._serve, sock=_bind(self._path), limit=LINE_LIMIT_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for speaker in self._speakers:
            speaker.close()
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._speakers.add(writer)
        try:
            while line := await reader.readline():
                writer.write(await self._reply(line) + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError) as failure:
            # ValueError: a line above the limit. The speaker is cut off; the gate's freshness runs out by itself.
            _log.warning("gate connection ended: %s", type(failure).__name__)
        finally:
            self._speakers.discard(writer)
            writer.close()

    def _tell_once(self, refused: Refused | None) -> None:
        """An agent repeats itself ten times a second; its mistake is logged when it begins."""
        if refused is not None and refused.error != self._told:
            _log.warning("gate refused a request: %s", refused.error)
        self._told = refused.error if refused is not None else ""

    async def _reply(self, line: bytes) -> bytes:
        try:
            request = _decoder.decode(line)
        except msgspec.DecodeError as failure:
            return msgspec.json.encode(Refused(error=f"bad request: {failure}", epoch=self._gate.epoch))
        if not request.ask:
            refused = self._gate.apply(request)
            self._tell_once(refused)
            if refused is not None:
                return msgspec.json.encode(refused)
            if request.state == "hold" and request.wait_s > 0:
                await self._gate.drained(min(request.wait_s, LONGEST_WAIT_S))
        return msgspec.json.encode(self._gate.answer())


def _bind(path: Path) -> socket.socket:
    """Bind mode 0600 from the first instant; a socket left by a killed process is removed, any other file is not."""
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            path.unlink()
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener
