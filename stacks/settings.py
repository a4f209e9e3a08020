"""A site's stack configuration, read back into typed parts. ``failover/adapters/pulumi.py`` chooses the keys."""

from __future__ import annotations

import pulumi

from failover.model.bootstrap import Bootstrap
from infra.parts import BucketParts, SiteParts, ZoneParts


def from_config(config: pulumi.Config) -> tuple[str, SiteParts]:
    """The provider's kind and the site's parts. Raises ``ConfigMissingError`` naming the key that is not there."""
    bootstrap = Bootstrap(
        fleet=config.require("fleet"),
        site=config.require("site"),
        provider=config.require("provider"),
        address=config.require("address"),
        agent_port=config.require_int("agentPort"),
        host_dir=config.require("hostDir"),
        agent_version=config.require("agentVersion"),
        agent_digest=config.require("agentDigest"),
        fleet_ca_pem=config.require("fleetCaPem"),
        token="",
    )
    zone = config.get("zone")
    parts = ZoneParts(name=zone, server=config.require("zoneServer")) if zone else None
    site = SiteParts(bootstrap=bootstrap, token=config.require_secret("token"), zone=parts, bucket=_bucket(config))
    return config.require("kind"), site


def _bucket(config: pulumi.Config) -> BucketParts | None:
    name = config.get("bucket")
    if not name:
        return None
    return BucketParts(
        name=name,
        kind=config.require("storeKind"),
        endpoint=config.require("storeEndpoint"),
        region=config.require("storeRegion"),
        access_key=config.require_secret("storeAccessKey"),
        secret_key=config.require_secret("storeSecretKey"),
    )
