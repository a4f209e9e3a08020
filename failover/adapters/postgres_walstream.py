"""PostgreSQL's physical replication protocol over libpq: psycopg has no calls for it. Source: PostgreSQL's
documentation, "Streaming Replication Protocol"."""

from __future__ import annotations

import select
import struct
import time

import psycopg
from psycopg import pq

from failover.errors import Unreachable
from failover.model.units import Lsn, format_lsn, parse_lsn
from failover.ports.snapshot_source import EndOfTimeline, WalPiece

_XLOG_DATA = struct.Struct("!cQQQ")  # 'w', start, end of WAL on the server, its clock
_KEEPALIVE = struct.Struct("!cQQB")  # 'k', end of WAL, its clock, answer at once
_STATUS = struct.Struct("!cQQQQB")  # 'r', written, flushed, applied, clock, answer at once
_EPOCH_2000_S = 946684800
_STATUS_EVERY_S = 1.0


def connect(conninfo: str) -> pq.abc.PGconn:
    """A replication connection. Raises ``Unreachable``."""
    connection = pq.PGconn.connect(f"{conninfo} replication=true".encode())
    if connection.status != pq.ConnStatus.OK:
        words = connection.get_error_message().strip()
        connection.finish()
        raise Unreachable(f"no replication connection: {words}")
    return connection


def history(conninfo: str, timeline: int) -> bytes:
    """Content of a timeline's history file."""
    connection = connect(conninfo)
    try:
        result = connection.exec_(f"TIMELINE_HISTORY {timeline}".encode())
        if result.status != pq.ExecStatus.TUPLES_OK:
            raise Unreachable(f"no history of timeline {timeline}: {connection.get_error_message().strip()}")
        return result.get_value(0, 1) or b""
    finally:
        connection.finish()


class PostgresWalStream:
    """Implements ``ports.snapshot_source.WalStream``."""

    def __init__(self, conninfo: str, *, timeline: int, start: Lsn, slot: str = "") -> None:
        self._connection = connect(conninfo)
        through = f'SLOT "{slot}" ' if slot else ""
        command = f"START_REPLICATION {through}PHYSICAL {format_lsn(start)} TIMELINE {timeline}"
        result = self._connection.exec_(command.encode())
        if result.status == pq.ExecStatus.TUPLES_OK:
            # Exactly at the end of a timeline the server does not begin to stream, it says what comes next.
            end = _following(result)
            self.close()
            raise end
        if result.status != pq.ExecStatus.COPY_BOTH:
            words = self._connection.get_error_message().strip()
            self.close()
            raise Unreachable(f"no WAL from {format_lsn(start)}: {words}")
        self._received = start
        self._safe: Lsn = 0
        self._server_end = start
        self._told_at_s = 0.0

    def receive(self, *, max_bytes: int, max_wait_s: float) -> WalPiece | None:
        """See the port."""
        try:
            return self._receive(max_bytes=max_bytes, max_wait_s=max_wait_s)
        except psycopg.Error as error:
            raise Unreachable(f"the WAL stream broke: {error}") from error

    def _receive(self, *, max_bytes: int, max_wait_s: float) -> WalPiece | None:
        until_s = time.monotonic() + max_wait_s
        start, parts, size = self._received, list[bytes](), 0
        while size < max_bytes:
            length, message = self._read()
            if length == -1:
                if parts:
                    break  # what came before the end first; the end is found again by the next call
                self._end()
            elif length == 0:
                left_s = until_s - time.monotonic()
                if left_s <= 0:
                    break
                select.select([self._connection.socket], [], [], min(left_s, _STATUS_EVERY_S / 2))
                self._connection.consume_input()
            elif message[:1] == b"w":
                _, at, self._server_end, _ = _XLOG_DATA.unpack_from(message)
                if at != self._received:
                    raise Unreachable(f"the server sent WAL from {format_lsn(at)}, not {format_lsn(self._received)}")
                parts.append(message[_XLOG_DATA.size :])
                size += len(parts[-1])
                self._received += len(parts[-1])
            elif message[:1] == b"k":
                _, self._server_end, _, answer = _KEEPALIVE.unpack(message)
                self._tell(at_once=bool(answer))
            self._tell()
        return WalPiece(start=start, data=b"".join(parts), server_end=self._server_end) if parts else None

    def acknowledge(self, lsn: Lsn) -> None:
        """See the port."""
        self._safe = max(self._safe, lsn)
        try:
            self._tell(at_once=True)
        except psycopg.Error as error:
            raise Unreachable(f"the WAL stream broke: {error}") from error

    def close(self) -> None:
        """See the port."""
        self._connection.finish()

    def _read(self) -> tuple[int, bytes]:
        length, message = self._connection.get_copy_data(1)
        if length == -2:
            raise Unreachable(f"the WAL stream broke: {self._connection.get_error_message().strip()}")
        return length, bytes(message)

    def _tell(self, *, at_once: bool = False) -> None:
        now_s = time.monotonic()
        if not at_once and now_s - self._told_at_s < _STATUS_EVERY_S:
            return
        self._told_at_s = now_s
        clock = int((time.time() - _EPOCH_2000_S) * 1_000_000)
        # Written is said honestly; flushed and applied are what two stores hold, and what the slot goes by.
        message = _STATUS.pack(b"r", self._received, self._safe, self._safe, clock, 0)
        self._connection.put_copy_data(message)
        self._connection.flush()

    def _end(self) -> None:
        """The server ended the copy: with a result where the timeline was left, else with an error."""
        self._connection.put_copy_end()
        self._connection.flush()
        while (result := self._connection.get_result()) is not None:
            if result.status == pq.ExecStatus.TUPLES_OK and result.ntuples == 1:
                raise _following(result)
        raise Unreachable(f"the WAL stream ended: {self._connection.get_error_message().strip()}")


def _following(result: pq.abc.PGresult) -> EndOfTimeline:
    following, at = result.get_value(0, 0) or b"", result.get_value(0, 1) or b""
    return EndOfTimeline(timeline=int(following), at=parse_lsn(at.decode()))
