"""A machine of the local provider: a folder and a supervisor process. Components only; the work is in ``plugin/``."""

from __future__ import annotations

from typing import Any

import pulumi

from infra.names import HOST_TYPE
from infra.parts import SiteParts

# Handed over once. A living host never sees a new agent version through its bootstrap (safety F1): that would be
# a new user data, and so a restart or a new machine, at the clouds.
BOOTSTRAP_ONLY = ["agentVersion", "agentDigest", "fleetCaPem", "token"]


class Host(pulumi.CustomResource):
    """One machine with an agent. Replaced when its address, port or folder changes; nothing ever updates it."""

    def __init__(self, name: str, parts: SiteParts, opts: pulumi.ResourceOptions | None = None) -> None:
        first = parts.bootstrap
        inputs: dict[str, Any] = {
            "fleet": first.fleet,
            "site": first.site,
            "provider": first.provider,
            "address": first.address,
            "agentPort": first.agent_port,
            "hostDir": first.host_dir,
            "agentVersion": first.agent_version,
            "agentDigest": first.agent_digest,
            "fleetCaPem": first.fleet_ca_pem,
            "token": pulumi.Output.secret(parts.token),
        }
        unchanging = pulumi.ResourceOptions(ignore_changes=BOOTSTRAP_ONLY, delete_before_replace=True)
        super().__init__(HOST_TYPE, name, inputs, pulumi.ResourceOptions.merge(opts, unchanging))
