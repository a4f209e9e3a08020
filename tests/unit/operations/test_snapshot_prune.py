"""prune over stores in memory: what it keeps and why, and what is left when it is killed."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from failover.errors import Unreachable
from failover.model.plan import Plan, Refusal
from failover.model.run_report import RunReport
from failover.operations.carry_out import Nothing, propose
from failover.operations.snapshot_shown import list_snapshots
from failover.operations.snapshot_wishes import PruneWish
from tests.fakes.snapshots import Stored, stored
from tests.unit.operations.test_snapshots import create, do, killed, objects


@pytest.fixture
def world(tmp_path: Path) -> Stored:
    return stored(tmp_path)


def test_prune_keeps_with_reasons_and_removes_children_first(world: Stored) -> None:
    ids = [create(world) for _ in range(3)]
    fleet = world.memory.wired.fleet
    assert fleet.snapshots is not None
    keep = msgspec.structs.replace(fleet.snapshots.keep, hourly=0, daily=0, weekly=0, monthly=0)
    rules = msgspec.structs.replace(fleet.snapshots, keep=keep)
    world.memory.wired.fleet = msgspec.structs.replace(fleet, snapshots=rules)
    nothing = do(world, PruneWish())
    assert isinstance(nothing, Nothing)
    assert f"kept: {ids[0]}: {ids[2]} is restored on top of it" in nothing.told
    newest = create(world, full=True)
    plan = propose(world.memory.wired, PruneWish())
    assert isinstance(plan, Plan)
    assert [step.id for step in plan.steps] == [f"remove-{one}" for one in reversed(ids)]
    report = do(world, PruneWish())
    assert isinstance(report, RunReport) and not report.missed
    assert [one.id for one in list_snapshots(world.memory.wired).snapshots] == [newest]
    assert all(newest in key for held in objects(world) for key in held)


def test_prune_is_refused_while_a_store_is_silent(world: Stored) -> None:
    create(world)
    world.stores[1].faults = [Unreachable("silent", where="s-south")] * 9
    refusal = propose(world.memory.wired, PruneWish())
    assert isinstance(refusal, Refusal)
    assert "would come back" in refusal.findings[0].message


def test_prune_leaves_what_it_cannot_read(world: Stored) -> None:
    """A manifest of another key is no orphan, however old: the trust folder may have been lost."""
    create(world)
    (world.memory.wired.state_dir / "trust" / "seal.key").unlink()
    (world.folder / "keys" / "seals").unlink()
    before = objects(world)
    listed = list_snapshots(world.memory.wired)
    assert listed.snapshots == () and listed.orphans == () and len(listed.damaged) == 2
    answer = do(world, PruneWish())
    assert isinstance(answer, Nothing)
    assert objects(world) == before


def keep_only(world: Stored, newest: int) -> None:
    """Rules that keep one snapshot of so many hours."""
    fleet = world.memory.wired.fleet
    assert fleet.snapshots is not None
    keep = msgspec.structs.replace(fleet.snapshots.keep, hourly=newest, daily=0, weekly=0, monthly=0)
    rules = msgspec.structs.replace(fleet.snapshots, keep=keep)
    world.memory.wired.fleet = msgspec.structs.replace(fleet, snapshots=rules)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("at", [1, 2, 3, 4])
def test_a_prune_killed_at_each_write_of_its_journal(world: Stored, at: int, stored: bool) -> None:
    create(world)
    create(world)
    newest = create(world, full=True)
    keep_only(world, 0)
    killed(world, PruneWish(), at=at, stored=stored)
    # What is half gone is no snapshot that anything may be built on; the next run, not a resume, finishes.
    answer = do(world, PruneWish())
    assert isinstance(answer, RunReport | Nothing)
    assert [one.id for one in list_snapshots(world.memory.wired).snapshots] == [newest]
    assert all(newest in key for held in objects(world) for key in held)
