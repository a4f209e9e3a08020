"""The steps of buckets: not before the store answers, adopted, and never somebody else's."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from failover.engine.clock import BootClock
from failover.engine.handler import Context, See
from failover.errors import Denied, Unreachable
from failover.model.plan import Action, ApplyBucket, ApplyStack, EnsureBucket, Step
from failover.model.stores import StorePlace
from failover.operations.handlers import handlers
from failover.operations.session import Session
from tests.fakes.hosts import with_stores
from tests.fakes.provisioner import MemoryProvisioner
from tests.fakes.wired import Memory, memory

OWN = StorePlace(name="cold", provider="east", kind="s3", endpoint="https://s3.east", bucket="demo-cold")


@pytest.fixture
def world(tmp_path: Path) -> Memory:
    declared = msgspec.structs.replace(with_stores(), stores=(*with_stores().stores, OWN))
    return memory(tmp_path, declared=declared)


def perform(world: Memory, action: Action) -> str:
    clock = BootClock()
    context = Context(
        run="r", step=Step(id="s", title="s", action=action, why="", timeout_s=30.0), lease=None,
        until_s=clock.boottime() + 30, clock=clock, performed=False, undoing=False,
        note=lambda _text: None, halting=lambda: False,
    )  # fmt: skip
    handler = handlers(Session(wired=world.wired, resumed=False))[type(action)]
    assert handler.look(action, context).see is See.NOT_DONE
    return handler.perform(action, context)


def stacks(world: Memory) -> MemoryProvisioner:
    found = world.wired.provisioner
    assert isinstance(found, MemoryProvisioner)
    return found


def test_a_sites_bucket_waits_for_its_store(world: Memory) -> None:
    perform(world, ApplyStack(site="alpha"))
    assert "Bucket alpha-bucket" not in stacks(world).there["alpha"]
    world.store_looks.silent["north"] = "Connection refused"
    with pytest.raises(Unreachable, match=r"north.*Connection refused"):
        perform(world, ApplyBucket(site="alpha"))
    assert "Bucket alpha-bucket" not in stacks(world).there["alpha"]
    world.store_looks.silent.clear()
    assert perform(world, ApplyBucket(site="alpha")) == "1 resources changed"
    assert perform(world, ApplyBucket(site="alpha")) == "unchanged"
    assert perform(world, ApplyStack(site="alpha")) == "unchanged", "what was made is not taken away"


def test_a_providers_own_bucket_is_made_once_and_somebody_elses_is_an_error(world: Memory) -> None:
    assert perform(world, EnsureBucket(store="cold")) == "demo-cold was made"
    assert perform(world, EnsureBucket(store="cold")) == "demo-cold is ours already"
    world.buckets.theirs.add("demo-cold")
    with pytest.raises(Denied, match="somebody else"):
        perform(world, EnsureBucket(store="cold"))
    assert world.buckets.open == 0, "closed, also after an error"
