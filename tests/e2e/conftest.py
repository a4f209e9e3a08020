"""One fleet for all drills of a session: deploying it is what a user does once, too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.harness import LocalFleet


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    one = LocalFleet(tmp_path_factory.mktemp("fleet"), block=60)
    one.init()
    try:
        one.deploy()
        yield one
        one.run("destroy", "--yes")
        assert not any(one.processes().values())
    finally:
        one.end()


@pytest.fixture(scope="module")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    """A fleet whose sites have networks of their own, for the tests of one file. Needs root."""
    one = LocalFleet(tmp_path_factory.mktemp("isolated"), block=171)
    one.init("--isolated")
    try:
        one.deploy()
        yield one
        one.run("destroy", "--yes")
        wires = {f"fo{(198 << 24) + (18 << 16) + (one.block + more << 8) + 1:08x}" for more in (0, 10, 20)}
        assert not wires & set(os.listdir("/run/netns"))
    finally:
        one.end()


@pytest.fixture
def protected(fleet: LocalFleet) -> LocalFleet:
    """The fleet with every site up and a sync member, whatever the test before left."""
    for site in ("alpha", "beta"):
        if any((fleet.state / how / site).exists() for how in ("suspended", "frozen", "full")):
            fleet.drill("return", site)
    fleet.wait_protected()
    return fleet


@pytest.fixture
def empty_fleet(tmp_path: Path) -> Iterator[LocalFleet]:
    """A fleet that was only initialised, on addresses of its own."""
    one = LocalFleet(tmp_path, block=90)
    one.init()
    try:
        yield one
    finally:
        one.end()
