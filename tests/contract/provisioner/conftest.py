"""The provisioner contract's worlds: every test of the port runs in both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from failover.ports.provisioner import Provisioner, SiteRequest
from tests.fakes.provisioner import MemoryProvisioner
from tests.infra.pulumi.fleets import SUPERVISE, StackFleet


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A provider, requests for its site alpha, and the way its machine is lost."""

    provisioner: Provisioner
    request: Callable[..., SiteRequest]
    lose_host: Callable[[], None]


@pytest.fixture(params=["memory", "pulumi"])
def world(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """One of the two."""
    fleet = StackFleet(tmp_path, "127.83.150")
    if request.param == "memory":
        memory = MemoryProvisioner()
        yield World(
            provisioner=memory,
            request=lambda **more: fleet.request("alpha", **more),
            lose_host=lambda: memory.there["alpha"].pop("Host alpha") and None,
        )
        return
    monkeypatch.setenv("FAILOVER_SUPERVISE", SUPERVISE)
    try:
        yield World(
            provisioner=fleet.provisioner,
            request=lambda **more: fleet.request("alpha", **more),
            lose_host=lambda: fleet.kill_host("alpha"),
        )
    finally:
        fleet.clean()
