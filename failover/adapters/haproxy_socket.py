"""HAProxy's stats socket: one connection per conversation, every answer ended by its prompt, all within a deadline.

What must never be here: the meaning of a command.
"""

from __future__ import annotations

import csv
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from failover.errors import Unreachable

_PROMPT = b"\n> "
_ANSWER_LIMIT_BYTES = 1 << 20
# sun_path is 108 bytes with its closing zero; a longer path is reached through its folder's descriptor.
_PATH_LIMIT_BYTES = 107


class StatsSocket:
    """The socket by its path. Holds no connection; safe from any thread."""

    def __init__(self, path: Path | str, *, deadline_s: float) -> None:
        self.path = Path(path)
        self._deadline_s = deadline_s

    @contextmanager
    def conversation(self) -> Iterator[Talk]:
        """Ask as often as needed within the deadline. Raises ``Unreachable`` when HAProxy does not answer."""
        until_s = _boottime_s() + self._deadline_s
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            try:
                connection.settimeout(self._deadline_s)
                _connect(connection, self.path)
                talk = Talk(connection, until_s)
                talk.ask("prompt")
                yield talk
            except OSError as error:
                raise Unreachable("the edge does not answer on its stats socket", where=str(self.path)) from error


class Talk:
    """One connection in HAProxy's interactive mode: every answer ends with its prompt. Raises ``OSError``."""

    def __init__(self, connection: socket.socket, until_s: float) -> None:
        self._connection = connection
        self._until_s = until_s

    def ask(self, command: str) -> str:
        """The answer to one command line."""
        self._within()
        self._connection.sendall(command.encode() + b"\n")
        answer = bytearray()
        while not answer.endswith(_PROMPT):
            self._within()
            received = self._connection.recv(65536)
            if not received or len(answer) > _ANSWER_LIMIT_BYTES:
                raise ConnectionError("the stats socket closed in the middle of an answer")
            answer += received
        return bytes(answer[: -len(_PROMPT)]).decode("utf-8", "replace").strip()

    def _within(self) -> None:
        left_s = self._until_s - _boottime_s()
        if left_s <= 0:
            raise TimeoutError("the deadline passed")
        self._connection.settimeout(left_s)


def stat_rows(text: str) -> Iterator[dict[str, str]]:
    """Rows of "show stat"; the first column is called ``# pxname``."""
    return csv.DictReader(text.splitlines())


def server_states(text: str) -> list[dict[str, str]]:
    """Rows of "show servers state": a version line, a ``#`` line of names, then one line per server."""
    lines = text.splitlines()
    header = next((line for line in lines if line.startswith("# ")), "#").removeprefix("#").split()
    rows = [line.split() for line in lines if not line.startswith("#")]
    return [dict(zip(header, row, strict=True)) for row in rows if len(row) == len(header) > 1]


def _connect(connection: socket.socket, path: Path) -> None:
    if len(os.fsencode(path)) <= _PATH_LIMIT_BYTES:
        connection.connect(str(path))
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        connection.connect(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


def _boottime_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
