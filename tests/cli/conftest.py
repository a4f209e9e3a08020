"""The command line over a fleet in memory: what it prints where, and its exit status."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from failover.cli.app import main
from failover.model.observation import ServiceFacts
from tests.cli.golden import plain
from tests.fakes.hosts import plain_fleet, shipping_fleet, with_stores
from tests.fakes.snapshots import Stored, stored
from tests.fakes.wired import Memory, memory

MODULES = (
    "changing", "stack_commands", "look_commands", "drill_commands", "journal_commands", "journal_group",
    "schedule_group", "certificate_group", "record_group", "snapshot_group", "keys_group", "media_group",
)  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One call of the command."""

    status: int
    out: str
    err: str

    def text(self) -> str:
        """All of it, as the golden files hold it."""
        return f"{self.out}--- stderr\n{self.err}--- exit {self.status}\n"


Failover = Callable[..., Said]


def _behind(found: Memory, monkeypatch: pytest.MonkeyPatch) -> Memory:
    for name in MODULES:
        monkeypatch.setattr(f"failover.cli.{name}.wire", lambda _options: found.wired)
    return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """A settled fleet in memory, behind every command."""
    return _behind(memory(tmp_path), monkeypatch)


@pytest.fixture
def stores_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """The same with a store at each data site."""
    return _behind(memory(tmp_path, declared=with_stores()), monkeypatch)


@pytest.fixture
def plain_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """The same with an app that has no gate of its own (class G3)."""
    found = memory(tmp_path, declared=plain_fleet())
    for site in ("alpha", "beta"):
        state = found.hosts.states[site]
        feed = ServiceFacts(name="feed", state="running", pid=101, starts=1)
        found.hosts.states[site] = msgspec.structs.replace(state, services=(*state.services, feed))
    return _behind(found, monkeypatch)


@pytest.fixture
def stored_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stored:
    """The same with two stores."""
    found = stored(tmp_path)
    _behind(found.memory, monkeypatch)
    return found


@pytest.fixture
def shipping_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Memory:
    """The same with a store at each data site, whose WAL is shipped."""
    return _behind(memory(tmp_path, declared=shipping_fleet()), monkeypatch)


@pytest.fixture
def failover(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Failover:
    """Call it with words."""
    monkeypatch.delenv("FAILOVER_FLEET", raising=False)
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: str) -> Said:
        capfd.readouterr()
        status = main(words)
        out, err = capfd.readouterr()
        return Said(status=status, out=plain(out, folder=tmp_path), err=plain(err, folder=tmp_path))

    return call
