"""Snapshots as people and programs see them: ``failover/snapshot/v1`` and what is around it (CONTRACT section 3)."""

from __future__ import annotations

import msgspec

from failover.model.snapshot import SCHEMA


class StoreShown(msgspec.Struct, frozen=True, kw_only=True):
    """One store's part. ``whole``: every object and the manifest with the right sizes, by its listing. ``sha256_ok``:
    ``None`` when nobody has read it all."""

    store: str
    provider: str
    objects: int
    bytes: int
    whole: bool
    sha256_ok: bool | None = None


class VerifiedShown(msgspec.Struct, frozen=True, kw_only=True):
    """The last proven restore. ``digest``: over the row digests of all tables; ``""`` when none were recorded."""

    at: str
    site: str
    store: str
    lsn: str
    rows: int
    digest: str
    seconds: float
    checks: tuple[str, ...] = ()


class SnapshotShown(msgspec.Struct, frozen=True, kw_only=True):
    """One snapshot. ``counts``: two providers have it whole, with all it is restored on top of."""

    schema: str = SCHEMA
    id: str
    kind: str
    parent: str
    why: tuple[str, ...]
    lsn: str
    timeline: int
    created_at: str
    finished_at: str
    taken_from: str
    database: str
    counts: bool
    removing: bool
    bytes: int
    stores: tuple[StoreShown, ...]
    encrypted_to: tuple[str, ...]
    verified: VerifiedShown | None = None
    run: str = ""


class SnapshotsShown(msgspec.Struct, frozen=True, kw_only=True):
    """``snapshot list``, oldest first. ``orphans``: begun and never finished; they are no snapshots."""

    schema: str = "failover/snapshots/v1"
    snapshots: tuple[SnapshotShown, ...]
    orphans: tuple[str, ...]
    damaged: tuple[str, ...]
    unreachable: dict[str, str]


class RestoredShown(msgspec.Struct, frozen=True, kw_only=True):
    """``snapshot restore``: a stopped data directory that is nobody's copy. ``exact``: it stands at ``lsn`` exactly,
    not only where the backup was consistent."""

    schema: str = "failover/restored/v1"
    id: str
    into: str
    lsn: str
    exact: bool
    seconds: float
    notes: tuple[str, ...]


class KeyShown(msgspec.Struct, frozen=True, kw_only=True):
    """One recipient. ``file``: where its private key lies on this machine, ``""`` when it does not. ``declared``: the
    fleet file names it; ``snapshots``: how many are encrypted to it (``None``: no store was asked). ``opens``: whether
    it alone opened them (``None``: not tried)."""

    recipient: str
    declared: bool
    file: str = ""
    snapshots: int | None = None
    opens: bool | None = None
    problem: str = ""


class KeysShown(msgspec.Struct, frozen=True, kw_only=True):
    """``keys list`` and ``keys test``. ``written``: what ``keys new`` and ``rotate`` made or changed."""

    schema: str = "failover/keys/v1"
    keys: tuple[KeyShown, ...]
    summary: str = ""
    written: tuple[str, ...] = ()
