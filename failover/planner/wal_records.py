"""Is there anything in a piece of WAL that somebody would miss? Pure. Source: PostgreSQL's ``access/xlogrecord.h``,
``access/xlog_internal.h``, ``replication/message.h``.

An idle primary goes on writing: its keeper's heartbeat (safety B5), checkpoints, lists of running transactions. A store
would be sent 86,400 objects a day of that, and exposure would never be 0.
"""

from __future__ import annotations

import struct

from failover.model.units import Lsn

_PAGE = 8192
_SHORT, _LONG = 24, 40
_LONG_HEADER = 0x0002
_PAGE_INFO = struct.Struct("<HH")
_RECORD = struct.Struct("<IIQBBHI")  # length, transaction, previous record, info, resource manager, padding, crc
_XLOG, _STANDBY, _MESSAGE = 0, 8, 21
_CHECKPOINT_ONLINE, _CHECKPOINT_REDO, _RUNNING_XACTS = 0x10, 0xE0, 0x10
_QUIET = {(_XLOG, _CHECKPOINT_ONLINE), (_XLOG, _CHECKPOINT_REDO), (_STANDBY, _RUNNING_XACTS)}
_BEAT_HEAD = struct.Struct("<BBI?xxxQQ")  # short data header, its length, database, transactional, two sizes
_DATA_SHORT = 0xFF
_PREFIX = b"failover\0"


def nothing_of_anybodys(start: Lsn, data: bytes) -> bool:
    """True when ``data``, WAL from ``start`` on, is whole records of the server's and the keeper's own housekeeping and
    nothing else. Whatever is cut, odd or unknown counts as somebody's."""
    records = _without_pages(start, data)
    if records is None or start % 8:
        return False
    at = 0
    while at < len(records):
        if len(records) - at < _RECORD.size:
            return False
        length, transaction, _, info, manager, padding, _ = _RECORD.unpack_from(records, at)
        end = at + length
        if length < _RECORD.size or end > len(records) or transaction or padding:
            return False
        if (manager, info & 0xF0) not in _QUIET and not (manager == _MESSAGE and _is_beat(records[at:end])):
            return False
        at = -(-end // 8) * 8
    # The last record's padding is part of it: less means that something was cut.
    return at == len(records) > 0


def _is_beat(record: bytes) -> bool:
    """A message of the keeper's: outside of any transaction, and empty."""
    body = record[_RECORD.size :]
    if len(body) != _BEAT_HEAD.size + len(_PREFIX) or not body.endswith(_PREFIX):
        return False
    header, length, _database, transactional, prefix_size, message_size = _BEAT_HEAD.unpack_from(body)
    fits = header == _DATA_SHORT and length == len(body) - 2
    return fits and not transactional and prefix_size == len(_PREFIX) and message_size == 0


def _without_pages(start: Lsn, data: bytes) -> bytes | None:
    """The records' bytes without page headers; ``None`` when a header is cut."""
    parts: list[bytes] = []
    at = 0
    while at < len(data):
        within = (start + at) % _PAGE
        if within == 0:
            if len(data) - at < _SHORT:
                return None
            _, info = _PAGE_INFO.unpack_from(data, at)
            at += _LONG if info & _LONG_HEADER else _SHORT
            within = (start + at) % _PAGE
        take = min(_PAGE - within, len(data) - at)
        parts.append(data[at : at + take])
        at += take
    return b"".join(parts)
