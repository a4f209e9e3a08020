"""Where the WAL of a stopped copy ends: what it has for certain. Read from the files, by PostgreSQL's own program.

Neither the control file nor a name in ``pg_wal`` says it: checkpoints lie behind, recycled segments ahead.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path

from failover.adapters.postgres_server import PostgresServer
from failover.errors import Unreachable
from failover.model.units import Lsn, format_lsn, parse_lsn, segment_name

_PAGE = 8192
_PAGE_HEADER, _SEGMENT_HEADER = 24, 40
_HEAD = struct.Struct("<HHIQ")  # magic, info, timeline, address of the page: access/xlog_internal.h
_TOTAL = struct.Struct("<I")
_SEGMENT = re.compile(r"[0-9A-F]{24}")
_NOTHING = "could not find a valid record after"
# pg_waldump has no other form: "rmgr: XLOG  len (rec/tot): 122/ 122, tx: 0, lsn: 0/01525F30, prev …, desc: …".
_RECORD = re.compile(
    r"^rmgr: \w+ +len \(rec/tot\): +\d+/ *(?P<total>\d+), tx: +\d+, lsn: (?P<lsn>[0-9A-F]+/[0-9A-F]+), "
    r"prev [0-9A-F/]+, desc: (?P<what>\w+)",
    re.MULTILINE | re.ASCII,
)


async def end_of_wal(server: PostgresServer, folder: Path, *, segment_bytes: int) -> Lsn:
    """First position after the last whole record in ``folder``; 0 when it holds none. Raises ``Unreachable`` when it
    cannot be told: a copy of which that is not known must not pass for one that went back in time."""
    segments = written_segments(folder, segment_bytes)
    if not segments:
        return 0
    # A record may begin in the segment before the last and end in it.
    timeline, start = segments[-2] if len(segments) > 1 and segments[-2][0] == segments[-1][0] else segments[-1]
    # Named, because pg_waldump asks the first file of a folder, in no order, for the segments' size: one that was made
    # ahead of its time holds only zeros, and it would read none of the others.
    first, last = (segment_name(timeline, at, segment_bytes) for at in (start, segments[-1][1]))
    said = await server.look_at_files(
        "pg_waldump", "--path", str(folder), "--timeline", str(timeline), "--start", format_lsn(start),
        first, last,
    )  # fmt: skip
    end = last_end(said, segment_bytes=segment_bytes)
    if not end and _NOTHING not in said:
        raise Unreachable(f"where the WAL ends cannot be told: {said.strip()[-300:]}", where=str(folder / first))
    return end


def written_segments(folder: Path, segment_bytes: int) -> list[tuple[int, Lsn]]:
    """Timeline and first position of each segment of the newest timeline that was written, not only recycled: its
    first page says where it belongs."""
    found = []
    for path in folder.iterdir():
        if _SEGMENT.fullmatch(path.name) is None:
            continue
        timeline, start = int(path.name[:8], 16), int(path.name[8:16], 16) << 32
        start += int(path.name[16:], 16) * segment_bytes
        with path.open("rb") as stream:
            head = stream.read(_HEAD.size)
        if len(head) == _HEAD.size and _HEAD.unpack(head)[3] == start:
            found.append((timeline, start))
    newest = max((timeline for timeline, _ in found), default=0)
    return sorted(entry for entry in found if entry[0] == newest)


def last_end(said: str, *, segment_bytes: int) -> Lsn:
    """Where the last record that pg_waldump printed ends; 0 when it printed none."""
    records = list(_RECORD.finditer(said[-65536:])) or list(_RECORD.finditer(said))
    if not records:
        return 0
    last = records[-1]
    start = parse_lsn(last["lsn"])
    if last["what"] == "SWITCH":
        return (start // segment_bytes + 1) * segment_bytes
    return record_end(start, int(last["total"]), segment_bytes=segment_bytes)


def last_start(said: str) -> Lsn:
    """Where the last record that pg_waldump printed begins; 0 when it printed none."""
    records = list(_RECORD.finditer(said[-65536:])) or list(_RECORD.finditer(said))
    return parse_lsn(records[-1]["lsn"]) if records else 0


def end_of_record(path: Path, start: Lsn, *, segment_bytes: int) -> Lsn:
    """Where the record ends that begins at ``start`` in the segment ``path``: its length comes first (XLogRecord)."""
    with path.open("rb") as stream:
        stream.seek(start % segment_bytes)
        (total,) = _TOTAL.unpack(stream.read(_TOTAL.size))
    return record_end(start, total, segment_bytes=segment_bytes)


def record_end(start: Lsn, total: int, *, segment_bytes: int) -> Lsn:
    """Where a record of ``total`` bytes ends, with the headers of the pages it runs into; records are aligned to 8."""
    at, left = start, -(-total // 8) * 8
    while True:
        room = _PAGE - at % _PAGE
        if left <= room:
            return at + left
        at, left = at + room, left - room
        at += _SEGMENT_HEADER if at % segment_bytes == 0 else _PAGE_HEADER
