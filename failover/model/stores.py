"""Object stores as the fleet knows them: where each one is, whose, of what kind; and what is kept in them."""

from __future__ import annotations

from typing import Literal

import msgspec

from failover.model.secret import StoreKey

__all__ = ["STORE_SERVICE", "MediaRules", "Policy", "SnapshotRules", "StoreKey", "StoreKind", "StorePlace"]

STORE_SERVICE = "store"
"""What the agent calls the store that a site runs."""
StoreKind = Literal["s3", "seaweedfs", "rclone"]
"""Who answers: Amazon's S3 or one that does as much; SeaweedFS; ``rclone serve s3``, the poorest we stand on."""


class StorePlace(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket. ``provider``: the company; ``endpoint``: ``https://host[:port]``, ``http`` only on loopback;
    ``site``: the local site that runs the store itself, empty for a provider's own."""

    name: str
    provider: str
    kind: StoreKind
    endpoint: str
    bucket: str
    region: str = "us-east-1"
    site: str = ""

    @property
    def where(self) -> str:
        """For errors."""
        return f"store {self.name}, {self.endpoint}/{self.bucket}"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How many of each: the newest snapshot of each of the last ``hourly`` hours that have one, and so on."""

    hourly: int = 24
    daily: int = 7
    weekly: int = 4
    monthly: int = 12

    @property
    def window_s(self) -> float:
        """How old the oldest snapshot that is kept can be, in seconds; a month has 31 days here."""
        days = max(self.hourly / 24, self.daily, self.weekly * 7, self.monthly * 31)
        return (days + 1) * 86400.0


class SnapshotRules(msgspec.Struct, frozen=True, kw_only=True):
    """``snapshots`` of the fleet file. ``recipients``: who can open a snapshot, as age writes them; at least two."""

    recipients: tuple[str, ...]
    every_s: float = 3600.0
    keep: Policy = Policy()


class MediaRules(msgspec.Struct, frozen=True, kw_only=True):
    """``media`` of the fleet file. ``index``: a query at the app's database that gives a name below the media prefix,
    a sha256 in hex and a size in bytes for each object the app refers to; empty: nobody says what there should be.
    ``keep_removed_s``: how long the bytes of a removed object stay, which is longer than any restore reaches back."""

    index: str = ""
    keep_removed_s: float = 36 * 86400.0
