"""Sites at the local provider: what to declare."""

from __future__ import annotations

import pulumi

from infra.local.site import LocalSite
from infra.parts import SiteParts


def build(parts: SiteParts) -> dict[str, pulumi.Input[object]]:
    """Declare the site; its exports."""
    return LocalSite(parts.bootstrap.site, parts).outputs
