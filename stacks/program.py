"""The program that the engine runs for one site; the same by hand and under ``stacks/run.py``."""

from __future__ import annotations

import pulumi

from stacks.settings import from_config


def site() -> None:
    """Declare the site of this stack and export the fields of ``SiteOutputs``."""
    kind, parts = from_config(pulumi.Config("failover"))
    if kind == "local":
        from stacks import local as provider
    else:
        raise ValueError(f"no stack program for provider kind {kind!r}")
    for name, value in provider.build(parts).items():
        pulumi.export(name, value)
