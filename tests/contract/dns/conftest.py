"""The DNS contract's worlds: every test of the port runs in both."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.dns.worlds import MemoryWorld, PowerDnsWorld, World, power_dns

_blocks = itertools.count(1)


@pytest.fixture
def real(tmp_path: Path) -> Iterator[PowerDnsWorld]:
    """Two real PowerDNS servers of their own."""
    with power_dns(tmp_path, f"127.85.{next(_blocks)}") as world:
        yield world


@pytest.fixture(params=["memory", "powerdns"])
def world(request: pytest.FixtureRequest) -> World:
    """One of the two."""
    return MemoryWorld() if request.param == "memory" else request.getfixturevalue("real")
