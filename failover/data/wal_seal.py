"""Who wrote a piece of shipped WAL: its host's signature, in front of it and inside the encryption.

Whoever can write to a store knows whom it is encrypted to, and could put WAL of their own there: age alone keeps others
from reading, not from writing. By hand nothing changes: it is a frame that ``age -d | zstd -d`` passes over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import msgspec

from failover.errors import Damaged
from failover.trust.seal import SealKey, open_seal


class _Statement(msgspec.Struct, frozen=True, kw_only=True):
    """``key``: where it lies: fleet, database, timeline and range are in it, so that nothing can be put in the place of
    something else. ``sha256``: of the WAL itself."""

    schema: str = "failover/wal/v1"
    key: str
    sha256: str


def wal_note(seal: SealKey, *, key: str, data: bytes) -> bytes:
    """What is written in front."""
    statement = _Statement(key=key, sha256=hashlib.sha256(data).hexdigest())
    return seal.seal(msgspec.json.encode(statement))


def check_note(note: bytes, *, key: str, data: bytes, trusted: Collection[str], what: str) -> None:
    """Raises ``Denied`` for what no host of this fleet signed, ``Damaged`` for what is signed as something else."""
    body = open_seal(note, trusted=trusted, what=what)
    try:
        statement = msgspec.json.decode(body, type=_Statement)
    except msgspec.MsgspecError as error:
        raise Damaged(f"{what} is signed as something else", where=what) from error
    if statement.key != key or statement.sha256 != hashlib.sha256(data).hexdigest():
        raise Damaged(f"{what} is signed as {statement.key}, or holds other WAL", where=what)
