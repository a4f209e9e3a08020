"""Wrappers, owners, interrupts, order: the small parts of the engine."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys

import msgspec
import pytest

from failover.engine.interrupt import Interrupt
from failover.engine.order import all_before, blocked, ready
from failover.engine.owner import is_alive, this_process
from failover.engine.wrap import Fault, FaultyRecordStore, RetryingRecordStore, TimedRecordStore
from failover.errors import OutcomeUnknown, Unreachable
from failover.model.journal import Outcome
from failover.model.record import Record
from failover.model.units import MemberId
from tests.fakes.engine import plan, step
from tests.fakes.record import MemoryRecordStore

FIRST = Record(epoch=0, revision=1, primary=MemberId("alpha_00000001"))


def faulty(*faults: Fault) -> FaultyRecordStore:
    return FaultyRecordStore(MemoryRecordStore(), faults=faults, sleep=lambda duration_s: None)


def test_a_lost_reply_was_applied_and_a_lost_request_was_not() -> None:
    store = faulty(Fault(call="create", kind="lost request"), Fault(call="create", kind="lost reply"))
    lease = store.acquire(name="fleet", owner="me", ttl_s=5, deadline_s=1)
    with pytest.raises(OutcomeUnknown, match="request"):
        store.create(FIRST, lease=lease, deadline_s=1)
    assert store.read(deadline_s=1) is None
    with pytest.raises(OutcomeUnknown, match="reply"):
        store.create(FIRST, lease=lease, deadline_s=1)
    assert store.read(deadline_s=1) == FIRST
    assert store.swap(expected_revision=1, new=FIRST.next(), lease=lease, deadline_s=1)
    assert store.wait_change(after_revision=1, timeout_s=1) == FIRST.next()


def test_delays_are_slept_and_calls_timed() -> None:
    slept: list[float] = []
    seen: list[str] = []
    inner = FaultyRecordStore(
        MemoryRecordStore(), faults=(Fault(call="read", kind="delay", delay_s=3.0),), sleep=slept.append
    )
    store = TimedRecordStore(inner, observe=lambda name, seconds: seen.append(name) if seconds >= 0 else None)
    assert store.read(deadline_s=1) is None
    assert store.holder(name="fleet", deadline_s=1) is None
    assert (slept, seen) == ([3.0], ["read", "holder"])


def test_reads_are_tried_again_and_changes_never() -> None:
    slept: list[float] = []
    inner = faulty(*(Fault(call=name, kind="lost request") for name in ("read", "read", "swap", "acquire")))
    store = RetryingRecordStore(inner, tries=3, pause_s=0.1, chance=random.Random(1), sleep=slept.append)
    assert store.read(deadline_s=1) is None
    assert len(slept) == 2
    assert 0.05 <= slept[0] <= 0.15 < 0.3 >= slept[1] >= 0.1
    with pytest.raises(Unreachable):
        store.acquire(name="fleet", owner="me", ttl_s=5, deadline_s=1)
    lease = store.acquire(name="fleet", owner="me", ttl_s=5, deadline_s=1)
    with pytest.raises(OutcomeUnknown):
        store.swap(expected_revision=1, new=FIRST.next(), lease=lease, deadline_s=1)


def test_reads_are_given_up_in_the_end() -> None:
    inner = faulty(*(Fault(call="read", kind="lost request") for _ in range(5)))
    store = RetryingRecordStore(inner, tries=3, pause_s=0.1, chance=random.Random(1), sleep=lambda duration_s: None)
    with pytest.raises(Unreachable):
        store.read(deadline_s=1)


def test_an_owner_is_its_process_and_no_later_one_with_its_pid() -> None:
    me = this_process()
    assert me.pid == os.getpid()
    assert is_alive(me) is True
    assert is_alive(msgspec.structs.replace(me, start_ticks=me.start_ticks + 1)) is False
    assert is_alive(msgspec.structs.replace(me, host="elsewhere")) is None
    ended = subprocess.Popen([sys.executable, "-c", "pass"])
    ended.wait()
    assert is_alive(msgspec.structs.replace(me, pid=ended.pid)) is False


def test_signals_only_count() -> None:
    interrupt = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    with interrupt.on_signals():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.times == 2
    assert signal.getsignal(signal.SIGINT) is before


def test_order_follows_lanes_and_after() -> None:
    the_plan = plan(
        step("a1", lane="a"),
        step("b1", lane="b", required=False),
        step("a2", lane="a", after=("b1",)),
        step("c", lane="c", after=("a2",)),
    )
    assert [one.id for one in ready(the_plan, {}, ())] == ["a1", "b1"]
    assert [one.id for one in ready(the_plan, {"a1": Outcome.DONE}, {"b1"})] == []
    assert [one.id for one in ready(the_plan, {"a1": Outcome.DONE, "b1": Outcome.UNKNOWN}, ())] == ["a2"]
    assert blocked(the_plan, {"a1": Outcome.FAILED, "b1": Outcome.DONE}) == {"a2": "a1", "c": "a1"}
    assert all_before(the_plan, "c") == {"a1", "b1", "a2"}
