"""One connection: runs a statement, hears the warning that takes an acknowledgement back, and can be cut at once.

Must never be here: the pool, the gate, retries.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import pq

from infra.app.failures import SYNC_WAIT_CUT
from infra.app.repertoire import Parameters, Repertoire

Row = tuple[Any, ...]


class Link:
    """One connection. `abandoned` and `cut` are the two reasons not to believe what it answered."""

    __slots__ = ("_connection", "_readied", "abandoned", "cut", "used_at")

    def __init__(self, connection: psycopg.AsyncConnection[Row], *, now: float) -> None:
        self._connection = connection
        self.abandoned = False
        self.cut = False
        self.used_at = now
        self._readied: set[str] = set()
        connection.add_notice_handler(self._notice)

    def _notice(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.sqlstate == SYNC_WAIT_CUT:
            self.cut = True

    async def execute(self, statement: LiteralString, parameters: Parameters) -> Sequence[Row]:
        """Run one statement, which is one transaction: one round trip, committed when this returns."""
        cursor = await self._connection.execute(statement, parameters)
        return await cursor.fetchall() if cursor.description else ()

    async def ready_for(self, repertoire: Repertoire) -> bool:
        """Have the server plan one more statement of the process, and run none; False when it has planned them all."""
        statement, parameters = next(repertoire.unknown_to(self._readied), (None, None))
        if statement is None:
            return False
        self._readied.add(statement)
        await self._connection.execute("EXPLAIN " + statement, parameters, prepare=False)
        return True

    def abandon(self) -> None:
        """Close the socket under a running statement: whoever awaits it fails in this turn of the loop.

        Not a cancel: that would end the wait for the standby (warning 01000), and a frozen host would not answer it.
        """
        self.abandoned = True
        if self._connection.closed:
            return
        with contextlib.suppress(OSError), socket.socket(fileno=os.dup(self._connection.fileno())) as handle:
            # OSError: the peer closed it first, which is what was wanted.
            handle.shutdown(socket.SHUT_RDWR)

    @property
    def usable(self) -> bool:
        """No round trip: an idle socket that became readable carries either a parameter's new value or the end."""
        connection = self._connection
        if self.abandoned or connection.closed or connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            return False
        for _ in range(3):
            if not _readable(connection.fileno()):
                return True
            try:
                connection.pgconn.consume_input()
                connection.pgconn.is_busy()
            except psycopg.OperationalError:
                return False
            if connection.pgconn.status != pq.ConnStatus.OK:
                return False
        return False

    async def close(self) -> None:
        await self._connection.close()


def _readable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
