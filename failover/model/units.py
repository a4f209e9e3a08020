"""Units as people write them and as programs keep them: durations, sizes, log sequence numbers, member ids.

An LSN is kept as ``int`` (bytes of WAL since the beginning) so that it can be compared and subtracted; text is
only for PostgreSQL and people.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NewType

Lsn = int
MemberId = NewType("MemberId", str)

_MEMBER = re.compile(r"^(?P<site>[a-z][a-z0-9]{0,30})_(?P<suffix>[0-9a-f]{8})$")
_DURATION = re.compile(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>ms|s|m|h|d)$")
_DURATION_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_lsn(text: str) -> Lsn:
    """``"0/3000148"`` -> bytes. Raises ``ValueError`` for anything else."""
    high, separator, low = text.partition("/")
    if not separator:
        raise ValueError(f"not an LSN: {text!r}")
    return (int(high, 16) << 32) + int(low, 16)


def format_lsn(lsn: Lsn) -> str:
    """Bytes -> ``"0/3000148"``, as PostgreSQL prints it."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def segment_name(timeline: int, at: Lsn, segment_bytes: int) -> str:
    """PostgreSQL's name of the WAL segment file that holds ``at``."""
    number, per_log = at // segment_bytes, 0x100000000 // segment_bytes
    return f"{timeline:08X}{number // per_log:08X}{number % per_log:08X}"


def parse_duration(text: str) -> timedelta:
    """``"250ms"``, ``"3s"``, ``"1.5h"`` -> timedelta. A bare number is refused: a unit left out once cost an outage."""
    match = _DURATION.match(text.strip())
    if match is None:
        raise ValueError(f"not a duration: {text!r} (write a number and one of ms, s, m, h, d)")
    return timedelta(seconds=float(match["number"]) * _DURATION_UNITS[match["unit"]])


def format_duration(value: timedelta | float) -> str:
    """Seconds or timedelta -> the shortest text a person reads at once: ``250 ms``, ``3.2 s``, ``4 min 5 s``."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def format_bytes(count: float) -> str:
    """Bytes -> ``512 B``, ``3.9 MB``, ``1.44 GB``: powers of ten, three digits, as disks and bills count."""
    if count < 1000:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= 1000
        if count < 999.5 or unit == "TB":
            break
    return f"{count:.{0 if count >= 99.5 else 1 if count >= 9.95 else 2}f} {unit}"


def member_id(site: str, suffix: str) -> MemberId:
    """Name one *copy* of the data at a site (safety B1). ``suffix`` is 8 hex digits, new for every copy."""
    text = f"{site}_{suffix}"
    if _MEMBER.match(text) is None:
        raise ValueError(f"not a member id: {text!r}")
    return MemberId(text)


def is_member_id(text: str) -> bool:
    """True when ``text`` has the form ``<site>_<8 hex>``."""
    return _MEMBER.match(text) is not None


def site_of(member: str) -> str:
    """The site that holds the copy. Raises ``ValueError`` when it is not a member id."""
    match = _MEMBER.match(member)
    if match is None:
        raise ValueError(f"not a member id: {member!r}")
    return match["site"]


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds, the only form of a time in our JSON."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
