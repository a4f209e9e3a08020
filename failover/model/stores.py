"""Object stores as the fleet knows them: where each one is, whose, of what kind, and the key to it."""

from __future__ import annotations

from typing import Literal

import msgspec

from failover.model.secret import Secret

StoreKind = Literal["s3", "seaweedfs", "rclone"]
"""Who answers: Amazon's S3 or one that does as much; SeaweedFS; ``rclone serve s3``, the poorest we stand on."""


class StorePlace(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket. ``provider``: the company; ``endpoint``: ``https://host[:port]``, ``http`` only on loopback."""

    name: str
    provider: str
    kind: StoreKind
    endpoint: str
    bucket: str
    region: str = "us-east-1"

    @property
    def where(self) -> str:
        """For errors."""
        return f"store {self.name}, {self.endpoint}/{self.bucket}"


class StoreKey(msgspec.Struct, frozen=True, kw_only=True):
    """The credentials of one store; never part of a plan, a spec or a message."""

    access_key: str
    secret: Secret
