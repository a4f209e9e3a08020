"""What a snapshot is: its manifest, the names of its objects in a store, and what verifying it found.

A snapshot is an immutable group of objects below one prefix. ``snapshot.json`` is written last and signed; without it
the rest is an orphan and never taken for a snapshot. Nothing counts before two stores hold the manifest.
"""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import Literal

import msgspec

from failover.model.units import Lsn, parse_lsn

SCHEMA = "failover/snapshot/v1"
MANIFEST = "snapshot.json"
DATA = "data.tar.zst.age"
FILE_LIST = "backup_manifest.zst.age"
WAL_TAIL = "wal.tar.zst.age"
VERIFIED = "verified"
REMOVED = "removed.json"
QUORUM = 2  # stores at different providers that must hold something before it counts

Kind = Literal["full", "incremental"]
_FOLDERS: dict[Kind, str] = {"full": "base", "incremental": "incr"}
_ID = re.compile(r"^(?P<at>\d{8}T\d{6}Z)-[0-9a-f]{8}$")
_CHUNK = re.compile(r"^(?P<start>[0-9A-F]{16})-(?P<end>[0-9A-F]{16})\.zst\.age$")


class SnapshotObject(msgspec.Struct, frozen=True, kw_only=True):
    """One object as it lies in every store: name below the snapshot's prefix, sha256 (hex) and size of the ciphertext,
    and how many bytes come out of it (the plain tar or list)."""

    name: str
    sha256: str
    size_bytes: int
    plain_bytes: int


class TableDigest(msgspec.Struct, frozen=True, kw_only=True):
    """Content of one table at an LSN. ``method``: ``record`` (hash_record_extended) or ``text`` (hashtextextended)."""

    table: str
    rows: int
    digest: str
    method: str = "record"


class Digests(msgspec.Struct, frozen=True, kw_only=True):
    """Every table of one database at exactly ``lsn``."""

    database: str
    lsn: str
    tables: tuple[TableDigest, ...]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """snapshot.json. ``lsn`` is where a restore of this snapshot alone arrives; ``start_lsn`` to ``stop_lsn`` is the
    range the backup itself needs. ``parent``: what an incremental is restored on top of. LSNs are text as PostgreSQL
    prints it, because a person reads this on the worst day. ``finished_at``: when all WAL it needs had been read;
    ``run``: whose work it is, in the journal of the machine that took it."""

    schema: str = SCHEMA
    id: str
    fleet: str
    kind: Kind
    parent: str = ""
    why: tuple[str, ...] = ()
    system_identifier: str
    timeline: int
    start_lsn: str
    stop_lsn: str
    lsn: str
    created_at: str
    taken_from: str
    versions: dict[str, str]
    wal_segment_bytes: int
    encrypted_to: tuple[str, ...]
    objects: tuple[SnapshotObject, ...]
    digests: tuple[Digests, ...] = ()
    finished_at: str = ""
    run: str = ""

    @property
    def prefix(self) -> str:
        """Where its objects lie in every store, with a slash at the end."""
        return snapshot_prefix(self.fleet, self.system_identifier, self.kind, self.id)

    @property
    def stop(self) -> Lsn:
        """``stop_lsn`` as bytes of WAL."""
        return parse_lsn(self.stop_lsn)

    @property
    def total_bytes(self) -> int:
        """Ciphertext in one store, without the manifest."""
        return sum(stored.size_bytes for stored in self.objects)

    def object(self, name: str) -> SnapshotObject | None:
        """The object of that name, or ``None``."""
        return next((stored for stored in self.objects if stored.name == name), None)


class Verification(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore at another provider proved, signed and stored beside the snapshot."""

    schema: str = "failover/verification/v1"
    id: str
    at: str
    site: str
    store: str
    lsn: str
    seconds: float
    rows: int
    tables: int
    checks: tuple[str, ...]


class WalChunk(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One shipped piece of WAL: bytes ``start`` to ``end`` of a timeline."""

    timeline: int
    start: Lsn
    end: Lsn

    @property
    def name(self) -> str:
        """Its name below the timeline's prefix; fixed width, so that a listing is in order of the WAL."""
        return f"{self.start:016X}-{self.end:016X}.zst.age"


def new_id(now: datetime) -> str:
    """``20261125T224500Z-1a2b3c4d``: two creates at once, or one after a kill, never share a prefix."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"


def is_id(text: str) -> bool:
    """True when ``text`` has the form of a snapshot's id."""
    return _ID.match(text) is not None


def created(snapshot: str) -> datetime:
    """When the snapshot of this id was begun. Raises ``ValueError`` for anything else."""
    match = _ID.match(snapshot)
    if match is None:
        raise ValueError(f"not a snapshot id: {snapshot!r}")
    return datetime.strptime(match["at"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def fleet_prefix(fleet: str, system_identifier: str) -> str:
    """Everything of one database of one fleet: another database can never be mistaken for it."""
    return f"{fleet}/{system_identifier}/"


def snapshot_prefix(fleet: str, system_identifier: str, kind: Kind, snapshot: str) -> str:
    """Where the objects of a snapshot lie."""
    return f"{fleet_prefix(fleet, system_identifier)}{_FOLDERS[kind]}/{snapshot}/"


def snapshot_folders(fleet: str, system_identifier: str) -> tuple[str, ...]:
    """The prefixes below which snapshots lie."""
    return tuple(f"{fleet_prefix(fleet, system_identifier)}{folder}/" for folder in _FOLDERS.values())


def wal_folder(fleet: str, system_identifier: str) -> str:
    """Below which a database's timelines have a folder each."""
    return f"{fleet_prefix(fleet, system_identifier)}wal/"


def wal_prefix(fleet: str, system_identifier: str, timeline: int) -> str:
    """Where the chunks of one timeline lie: two primaries never overwrite each other's."""
    return f"{wal_folder(fleet, system_identifier)}{timeline:08X}/"


def history_name(timeline: int) -> str:
    """The timeline's history file, below that timeline's own prefix."""
    return f"{timeline:08X}.history.zst.age"


def parse_chunk(name: str, timeline: int) -> WalChunk | None:
    """The chunk of that name, or ``None`` when it is no chunk."""
    match = _CHUNK.match(name)
    if match is None:
        return None
    start, end = int(match["start"], 16), int(match["end"], 16)
    return WalChunk(timeline=timeline, start=start, end=end) if start < end else None

