"""What a site is made of: typed inputs that every provider's components take. Values only, never a call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from failover.model.bootstrap import Bootstrap


@dataclass(frozen=True, slots=True, kw_only=True)
class ZoneParts:
    """The app's zone at this provider. ``server`` is ``address:port`` of the authoritative server there."""

    name: str
    server: str


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class BucketParts:
    """The bucket at this provider's store. ``kind``: what the store is; ``access_key`` and ``secret_key`` are the
    engine's secret values."""

    name: str
    kind: str
    endpoint: str
    region: str
    access_key: Any
    secret_key: Any


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SiteParts:
    """One site: its host's bootstrap, its zone if this provider serves one, its bucket if the site has a store.

    ``token`` is the bootstrap's one-time token once more, as the engine's secret value: components must hand this one
    on, so that state keeps it encrypted. ``bootstrap.token`` is empty.
    """

    bootstrap: Bootstrap
    token: Any
    zone: ZoneParts | None
    bucket: BucketParts | None = None
