"""How the record and a lease lie in a store: JSON bytes, and the checks every adapter makes when reading them back.

What must never be here: I/O. Both stores use this, so that neither accepts what the other would call damaged.
"""

from __future__ import annotations

from itertools import pairwise

import msgspec

from failover.errors import Damaged
from failover.model.record import PLAIN_VERSION, QUARANTINE_VERSION, Record
from failover.model.units import is_member_id

VERSIONS = (PLAIN_VERSION, QUARANTINE_VERSION)
_KNOWN = frozenset(Record.__struct_encode_fields__) - {"unknown"}
_HINT = "nothing may write over it: compare what each voter holds; rebuilding it is for two operators"
_NEWER = "upgrade failover here; nothing may write over it"


class LeaseValue(msgspec.Struct, frozen=True, kw_only=True):
    """What a held lease says of its holder."""

    owner: str
    since: str
    ttl_s: float


def encode_record(record: Record) -> bytes:
    """The stored form: with what a newer agent has written in fields this one does not know, or its next swap would
    wipe that out."""
    plain = msgspec.to_builtins(record)
    del plain["unknown"]
    return msgspec.json.encode({**{key: msgspec.Raw(text.encode()) for key, text in record.unknown}, **plain})


def decode_record(content: bytes, *, where: str) -> Record:
    """The record in ``content``. Raises ``Damaged`` for anything that ``encode_record`` of a legal one cannot give."""
    try:
        record = msgspec.json.decode(content, type=Record)
        fields = msgspec.json.decode(content, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the stored record cannot be read: {error}", where=where, hint=_HINT) from error
    if record.version not in VERSIONS:
        # Not damage: a newer failover says that older ones must not act on it.
        known = f"this one knows {VERSIONS[-1]}"
        raise Damaged(f"the record needs a failover of version {record.version}, {known}", where=where, hint=_NEWER)
    fault = _fault(record)
    if fault:
        raise Damaged(f"the stored record is not legal: {fault}", where=where, hint=_HINT)
    unknown = tuple((key, bytes(text).decode()) for key, text in fields.items() if key not in _KNOWN)
    return msgspec.structs.replace(record, unknown=unknown)


def check_not_rolled_back(*, seen: tuple[int, int], record: Record | None, where: str) -> None:
    """Refuse a record older than one this process has already read. ``seen`` is (epoch, revision), (0, 0) for none.

    A voter restored from yesterday's disk answers with yesterday's record; acting on it would make two primaries.
    """
    if record is None:
        if seen != (0, 0):
            raise Damaged(f"the record was there (revision {seen[1]}) and is gone", where=where, hint=_HINT)
        return
    if record.epoch < seen[0] or record.revision < seen[1]:
        raise Damaged(
            f"the record went back: epoch {seen[0]} revision {seen[1]} was read before, "
            f"now epoch {record.epoch} revision {record.revision}",
            where=where,
            hint=_HINT,
        )


def encode_lease(value: LeaseValue) -> bytes:
    """The stored form."""
    return msgspec.json.encode(value)


def decode_lease(content: bytes, *, where: str) -> LeaseValue:
    """The lease in ``content``. Raises ``Damaged``."""
    try:
        return msgspec.json.decode(content, type=LeaseValue)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Damaged(f"the stored lease cannot be read: {error}", where=where, hint=_HINT) from error


def _fault(record: Record) -> str:
    if record.epoch < 0 or record.revision < 1 or record.flushed_lsn < 0:
        return f"epoch {record.epoch}, revision {record.revision}, flushed {record.flushed_lsn}"
    for member in (record.primary, *record.sync):
        if not is_member_id(member):
            return f"{member!r} is no member id"
    if record.primary in record.sync:
        return "the primary is its own sync member"
    if len(set(record.sync)) != len(record.sync):
        return "a member is listed twice in sync"
    if any(later.tli <= earlier.tli for earlier, later in pairwise(record.timelines)):
        return "timelines do not grow"
    return ""
