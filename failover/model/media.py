"""Media as failover sees them: what the app says there is, what the stores hold, and what came of comparing the two.

An object's identity is a sha256 of our own: the app's index gives it, or the object's name is one. Never an ETag.
"""

from __future__ import annotations

import re

import msgspec

SCHEMA = "failover/media/v1"
MISSING_SCHEMA = "failover/media-missing/v1"
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """One object that the app's database refers to. ``key``: as in the stores; ``size_bytes`` -1: not known."""

    key: str
    sha256: str
    size_bytes: int = -1


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """One object as a store lists it."""

    size_bytes: int
    etag: str | None = None


class StoreCounts(msgspec.Struct, kw_only=True):
    """One store. ``missing``: another store has it, or the index names it; ``error``: why it was not listed to the
    end, and then nothing else of it counts."""

    store: str
    provider: str
    objects: int = 0
    bytes: int = 0
    missing: int = 0
    copied: int = 0
    repaired: int = 0
    read: int = 0
    damaged: int = 0
    error: str = ""


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """One object with something wrong. ``kind``: ``lost`` (the app refers to it, no store that answers has it),
    ``damaged`` (``stores`` hold other bytes; ``good`` the right ones), ``differs`` (copies differ, and nothing says yet
    which is right), ``unread`` and ``not-copied`` (``why``)."""

    kind: str
    key: str
    stores: tuple[str, ...] = ()
    good: tuple[str, ...] = ()
    why: str = ""


class MissingList(msgspec.Struct, frozen=True, kw_only=True):
    """What cannot be served while ``silent`` stores are gone: signed, beside the list itself (one ``sha256 size key``
    a line), of which ``list_sha256`` is the digest. Exact as of ``at``, for the index read at ``index_site``."""

    schema: str = MISSING_SCHEMA
    fleet: str
    at: str
    silent: tuple[str, ...]
    answered: tuple[str, ...]
    index_site: str
    expected: int
    objects: int
    bytes: int
    list_sha256: str
    list_name: str


class MediaReport(msgspec.Struct, kw_only=True):
    """What ``media status``, ``sync`` and ``verify`` answer. ``troubles`` names at most ``TOLD`` objects;
    ``trouble_counts`` counts them all, by kind. ``index_site`` "": nobody said what there should be."""

    schema: str = SCHEMA
    verb: str
    at: str
    seconds: float = 0.0
    stores: list[StoreCounts]
    index_site: str = ""
    expected: int = 0
    in_step: int = 0
    unreferenced: int = 0
    trouble_counts: dict[str, int] = msgspec.field(default_factory=dict)
    troubles: list[Trouble] = msgspec.field(default_factory=list)
    missing_list: str = ""
    notes: list[str] = msgspec.field(default_factory=list)

    def trouble(self, found: Trouble) -> None:
        """Count it; name it while there are few."""
        self.trouble_counts[found.kind] = self.trouble_counts.get(found.kind, 0) + 1
        if len(self.troubles) < TOLD:
            self.troubles.append(found)


TOLD = 20


def digest_in(key: str) -> str:
    """The sha256 that the object is named by; "" when its name is no digest."""
    name = key.rpartition("/")[2]
    return name if is_digest(name) else ""


def is_digest(text: str) -> bool:
    """A sha256 in hex."""
    return _DIGEST.fullmatch(text) is not None


def media_prefix(fleet: str) -> str:
    """Where the fleet's media lie in every store."""
    return f"{fleet}/media/"
