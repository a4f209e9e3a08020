"""What the voters' JSON gateway sends and takes: answers as types, bytes as base64, 64-bit numbers as text.

What must never be here: connections, and what an answer means for the record.
"""

from __future__ import annotations

import base64
from typing import TypeVar

import msgspec

from failover.adapters.record_etcd_http import Answer
from failover.errors import Damaged, Unreachable

_T = TypeVar("_T")


class Pair(msgspec.Struct, frozen=True):
    """One key as it is now."""

    create_revision: int = 0
    mod_revision: int = 0
    value: bytes = b""


class Header(msgspec.Struct, frozen=True):
    """Every answer has one: where etcd's history stands, and who answered."""

    revision: int = 0
    member_id: int = 0


class Range(msgspec.Struct, frozen=True):
    """``/v3/kv/range``."""

    header: Header = Header()
    kvs: tuple[Pair, ...] = ()


class Response(msgspec.Struct, frozen=True):
    """One answer inside a transaction."""

    response_range: Range | None = None


class Txn(msgspec.Struct, frozen=True):
    """``/v3/kv/txn``."""

    header: Header = Header()
    succeeded: bool = False
    responses: tuple[Response, ...] = ()


class Granted(msgspec.Struct, frozen=True):
    """``/v3/lease/grant``."""

    ID: int
    TTL: int = 0


class Kept(msgspec.Struct, frozen=True):
    """``/v3/lease/keepalive``; a TTL of 0 says that there is no such lease."""

    result: Granted


class Event(msgspec.Struct, frozen=True):
    """One change seen by a watch."""

    kv: Pair


class Watched(msgspec.Struct, frozen=True):
    """What a watch says."""

    events: tuple[Event, ...] = ()
    canceled: bool = False


class WatchLine(msgspec.Struct, frozen=True):
    """One line of ``/v3/watch``."""

    result: Watched


class Member(msgspec.Struct, frozen=True):
    """One voter as the voters list it; ``name`` is empty until it has started once."""

    ID: int
    name: str = ""
    clientURLs: tuple[str, ...] = ()


class Members(msgspec.Struct, frozen=True):
    """``/v3/cluster/member/list``."""

    members: tuple[Member, ...] = ()


class Status(msgspec.Struct, frozen=True):
    """``/v3/maintenance/status``: the voter asked, and whom it takes for the leader (0: none)."""

    header: Header
    leader: int = 0
    raftAppliedIndex: int = 0
    version: str = ""


def b64(content: bytes) -> str:
    """Bytes as the gateway takes them."""
    return base64.b64encode(content).decode("ascii")


def pairs(answer: Txn) -> list[tuple[Pair, ...]]:
    """What the reads inside a transaction found."""
    return [one.response_range.kvs for one in answer.responses if one.response_range is not None]


def decode(content: bytes, kind: type[_T]) -> _T:
    """An answer of the gateway. Raises ``Damaged``."""
    try:
        return msgspec.json.decode(content, type=kind, strict=False)
    except msgspec.DecodeError as error:
        raise Damaged(f"a voter answered what cannot be read: {error}", where="etcd JSON gateway") from error


def granted(answer: Answer) -> bytes:
    """The body of a 200. Anything else here is a definite no that none of our calls expects: another version, another
    cluster, no permission. Raises ``Unreachable``."""
    if not answer.ok:
        raise Unreachable(f"a voter refused: HTTP {answer.status} {answer.content[:200]!r}", where=answer.endpoint)
    return answer.content
