"""Fixtures: fleets of stacks on 127.83.x, each with its own block; every process is ended, whatever happened."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.pulumi.fleets import SUPERVISE, StackFleet

_blocks = itertools.count(1)


@pytest.fixture
def block() -> str:
    """Addresses nobody else uses."""
    return f"127.83.{next(_blocks)}"


@pytest.fixture
def fleet(tmp_path: Path, block: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[StackFleet]:
    """A fleet with nothing deployed."""
    monkeypatch.setenv("FAILOVER_SUPERVISE", SUPERVISE)
    made = StackFleet(tmp_path, block)
    try:
        yield made
    finally:
        made.clean()
