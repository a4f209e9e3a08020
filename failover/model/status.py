"""The state of a fleet as it is shown: ``failover/status/v1``, what ``check`` concludes, what DNS servers answered.

``None`` and "unknown" mean not known and are never read as good. Fields are only ever added.
"""

from __future__ import annotations

from enum import IntEnum

import msgspec

from failover.model.finding import Finding
from failover.model.observation import StoreBehind

SCHEMA = "failover/status/v1"


class SiteStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One site. ``role``: primary, standby, witness or unknown. ``exposure_s``: what a promotion of this site would
    lose now, in seconds of acknowledged writes; ``None``: not known."""

    name: str
    provider: str
    role: str
    state: str
    lag_bytes: int | None
    exposure_s: float | None
    gate: str
    seen_s_ago: float | None
    record_s_ago: float | None = None
    serving: bool | None = None
    member: str = ""
    doing: str = ""
    error: str = ""
    version: str = ""


class RecordStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The record as it was read in this look."""

    epoch: int
    primary: str
    sync: tuple[str, ...]
    move: str = ""


class ShippingStatus(msgspec.Struct, frozen=True, kw_only=True):
    """WAL on its way into the stores, from the primary ``site``. Everything before ``acknowledged_lsn`` is with two
    providers; ``exposure_bytes`` and ``exposure_s`` are the size and the age of what is not. ``None``: not known.
    ``behind``: stores that lack something. ``snapshot_wanted``: WAL was lost, and which."""

    site: str
    acknowledged_lsn: str | None = None
    exposure_bytes: int | None = None
    exposure_s: float | None = None
    timeline: int = 0
    slot: str = ""
    behind: tuple[StoreBehind, ...] = ()
    error: str = ""
    snapshot_wanted: str = ""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The whole view. ``proven_restore_age_s`` is ``None``: no restore was proven. ``unprotected_s``: how long
    the present primary has acknowledged writes that no second provider had, since its agent started. ``shipping`` is
    there only where a fleet has stores."""

    schema: str = SCHEMA
    fleet: str
    status: str
    summary: str
    sites: tuple[SiteStatus, ...]
    record: RecordStatus | None
    record_error: str = ""
    proven_restore_age_s: float | None = None
    findings: tuple[Finding, ...] = ()
    unprotected_s: float | None = None
    shipping: ShippingStatus | msgspec.UnsetType = msgspec.UNSET


class Level(IntEnum):
    """As Nagios numbers them; ``check`` exits with these."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One measured value for graphs; ``None``: not known now."""

    name: str
    value: float | None
    unit: str = ""
    site: str = ""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of ``check``."""

    level: Level
    summary: str
    findings: tuple[Finding, ...]
    figures: tuple[Figure, ...]
    view: Status


class StoreSeen(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one object store answered; ``error`` says why not, or why it was not asked."""

    store: str
    error: str = ""


class NamesSeen(msgspec.Struct, frozen=True, kw_only=True):
    """What one authoritative server answered when asked directly, or why it did not."""

    site: str
    answers: dict[str, tuple[str, ...]] | None
    error: str = ""
