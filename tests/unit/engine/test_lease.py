"""The fleet's lease as a guard, on the in-memory store with pretended time."""

from __future__ import annotations

import time

import pytest

from failover.engine.lease import FleetLease
from failover.engine.wrap import Fault, FaultyRecordStore
from failover.errors import LeaseHeld, LeaseLost, Unreachable
from failover.ports.record import Lease
from tests.fakes.engine import FakeClock
from tests.fakes.record import MemoryRecordStore, Shared


class BothClocks(FakeClock):
    """The guard's clock and the store's go together."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self._shared = shared

    def sleep(self, duration_s: float) -> None:
        super().sleep(duration_s)
        self._shared.now_s += duration_s


def test_taken_checked_given_back() -> None:
    store = MemoryRecordStore()
    with FleetLease(store=store, owner="ops@here deploy", ttl_s=5, clock=FakeClock(), beside=False) as guard:
        guard.check()
        assert store.holder(name="fleet", deadline_s=1) is not None
        with pytest.raises(LeaseHeld, match="ops@here deploy"):
            FleetLease(store=store, owner="other", ttl_s=5, clock=FakeClock(), beside=False).__enter__()
    assert store.holder(name="fleet", deadline_s=1) is None
    assert guard.trouble == ""


def test_renewal_keeps_it_and_silence_loses_it() -> None:
    shared = Shared()
    clock = BothClocks(shared)
    store = FaultyRecordStore(
        MemoryRecordStore(shared), faults=tuple(Fault(call="renew", kind="lost request") for _ in range(3))
    )
    quiet = MemoryRecordStore(shared)
    with FleetLease(store=quiet, owner="me", ttl_s=6, clock=clock, beside=False) as guard:
        for _ in range(5):
            clock.sleep(2)
            assert guard.renew_now() == 2
            guard.check()
    with FleetLease(store=store, owner="me", ttl_s=6, clock=clock, beside=False) as guard:
        for _ in range(2):
            clock.sleep(2)
            assert guard.renew_now() < 2  # asked again sooner
            guard.check()
        clock.sleep(2)
        with pytest.raises(LeaseLost, match="could not be renewed for 6 s"):
            guard.check()


def test_a_lease_that_the_store_gave_to_another_is_lost_for_good() -> None:
    shared = Shared()
    clock = BothClocks(shared)
    store = MemoryRecordStore(shared)
    with FleetLease(store=store, owner="me", ttl_s=6, clock=clock, beside=False) as guard:
        store.release(guard.lease, deadline_s=1)
        other = store.acquire(name="fleet", owner="thief", ttl_s=60, deadline_s=1)
        guard.renew_now()
        with pytest.raises(LeaseLost):
            guard.check()
    assert store.holder(name="fleet", deadline_s=1) is not None
    assert isinstance(other, Lease)


def test_what_cannot_be_given_back_is_told_and_no_error() -> None:
    store = FaultyRecordStore(MemoryRecordStore(), faults=(Fault(call="release", kind="lost request"),))
    with FleetLease(store=store, owner="me", ttl_s=6, clock=FakeClock(), beside=False) as guard:
        pass
    assert "expires by itself" in guard.trouble


def test_no_lease_before_it_was_taken() -> None:
    guard = FleetLease(store=MemoryRecordStore(), owner="me", ttl_s=6, clock=FakeClock(), beside=False)
    with pytest.raises(LeaseLost):
        _ = guard.lease


def test_the_thread_renews_beside_the_work_and_ends() -> None:
    calls: list[float] = []

    class Counting(MemoryRecordStore):
        def renew(self, lease: Lease, *, deadline_s: float) -> None:
            calls.append(deadline_s)
            if len(calls) == 2:
                raise Unreachable("no majority")
            super().renew(lease, deadline_s=deadline_s)

    guard = FleetLease(store=Counting(), owner="me", ttl_s=0.03, clock=FakeClock())
    with guard:
        end = time.monotonic() + 10
        while len(calls) < 3 and time.monotonic() < end:
            time.sleep(0.005)
        guard.check()
    assert len(calls) >= 3
    assert not guard._thread.is_alive()
