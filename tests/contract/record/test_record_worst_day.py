"""The record on the day it is for: voters dead, frozen, gone, and answers lost. On three real etcd voters.

Times are limits with room for a busy machine; the measured ones stand in the comments (2 cores, loopback).
"""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from failover.adapters.record_etcd import EtcdRecordStore
from failover.adapters.record_etcd_leader import EtcdVoters
from failover.errors import OutcomeUnknown, Unreachable
from failover.model.record import Record
from failover.model.units import MemberId
from failover.ports.record import Lease
from tests.contract.record.conftest import fleet_name
from tests.contract.record.proxy import ReplyEater
from tests.contract.record.voters import Voters

FIRST = Record(epoch=0, revision=1, primary=MemberId("alpha_00000001"))
_S = 10.0


class Fleet:
    """A store with a record and a long lease."""

    def __init__(self, endpoints: tuple[str, ...], fleet: str = "") -> None:
        self.name = fleet or fleet_name()
        self.store = EtcdRecordStore(fleet=self.name, endpoints=endpoints, tls=None)
        self.lease: Lease = self.store.acquire(name="fleet", owner="test", ttl_s=60, deadline_s=_S)
        assert self.store.create(FIRST, lease=self.lease, deadline_s=_S)

    def read_and_swap(self, deadline_s: float = _S) -> Record:
        record = self.store.read(deadline_s=deadline_s)
        assert record is not None
        new = record.next(flushed_lsn=record.flushed_lsn + 1)
        assert self.store.swap(expected_revision=record.revision, new=new, lease=self.lease, deadline_s=deadline_s)
        return new


@pytest.fixture
def make_fleet(voters: Voters) -> Iterator[Callable[..., Fleet]]:
    made: list[Fleet] = []

    def make(*endpoints: str) -> Fleet:
        made.append(Fleet(endpoints or voters.endpoints))
        return made[-1]

    yield make
    for fleet in made:
        fleet.store.close()


def took(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


def _fault(voters: Voters, index: int, fault: str) -> None:
    if fault == "killed":
        voters.kill(index)
    else:
        voters.send(index, signal.SIGSTOP)


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_one_voter_lost_costs_one_slow_call(voters: Voters, make_fleet: Callable[..., Fleet], fault: str) -> None:
    voters.lead_from(2)
    fleet = make_fleet()  # prefers the first endpoint, which is the one to go
    fleet.read_and_swap()
    _fault(voters, 0, fault)
    first = took(fleet.read_and_swap)  # 10-40 ms killed, 110-150 ms frozen
    later = [took(fleet.read_and_swap) for _ in range(5)]  # 5-10 ms
    assert first < 4.0
    assert min(later) < 0.5


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_the_leader_lost_costs_one_election(voters: Voters, make_fleet: Callable[..., Fleet], fault: str) -> None:
    voters.lead_from(2)
    fleet = make_fleet()
    fleet.read_and_swap()
    _fault(voters, 2, fault)
    assert took(fleet.read_and_swap) < 8.0  # 1.0-2.0 s
    assert min(took(fleet.read_and_swap) for _ in range(5)) < 0.5


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_majority_lost_is_unreachable_within_the_deadline(
    voters: Voters, make_fleet: Callable[..., Fleet], fault: str
) -> None:
    fleet = make_fleet()
    new = fleet.read_and_swap()
    for index in (0, 1):
        _fault(voters, index, fault)
    calls: tuple[Callable[[], object], ...] = (
        lambda: fleet.store.read(deadline_s=1.0),
        lambda: fleet.store.renew(fleet.lease, deadline_s=1.0),
        lambda: fleet.store.holder(name="fleet", deadline_s=1.0),
        lambda: fleet.store.acquire(name="other", owner="test", ttl_s=5, deadline_s=1.0),
        lambda: fleet.store.wait_change(after_revision=new.revision, timeout_s=1.0),
        lambda: fleet.store.swap(expected_revision=new.revision, new=new.next(), lease=fleet.lease, deadline_s=1.0),
    )
    for call in calls:
        began = time.monotonic()
        with pytest.raises(Unreachable) as caught:
            call()
        assert time.monotonic() - began < 3.0
        assert caught.value.exit_status == 8
    voters.heal()
    assert fleet.store.read(deadline_s=_S) in (new, new.next())


def test_applied_but_unanswered_is_unknown_and_a_read_shows_it(
    voters: Voters, make_fleet: Callable[..., Fleet]
) -> None:
    with ReplyEater(voters.sites[0], 2379) as proxy:
        fleet = make_fleet(f"http://{proxy.address}")
        new = FIRST.next(flushed_lsn=1)
        proxy.eat_next(b"/v3/kv/txn")
        with pytest.raises(OutcomeUnknown) as caught:
            fleet.store.swap(expected_revision=1, new=new, lease=fleet.lease, deadline_s=2.0)
        assert not caught.value.retriable
        assert fleet.store.read(deadline_s=_S) == new
        again = FIRST.next(flushed_lsn=2)
        assert not fleet.store.swap(expected_revision=1, new=again, lease=fleet.lease, deadline_s=_S)
        assert fleet.store.read(deadline_s=_S) == new
        assert proxy.eaten == 1


def test_an_unanswered_swap_is_not_sent_to_another_voter(voters: Voters, make_fleet: Callable[..., Fleet]) -> None:
    with ReplyEater(voters.sites[0], 2379) as one, ReplyEater(voters.sites[1], 2379) as two:
        fleet = make_fleet(f"http://{one.address}", f"http://{two.address}")
        fleet.read_and_swap()
        sent_before = one.requests(b"/v3/kv/txn") + two.requests(b"/v3/kv/txn")
        for proxy in (one, two):
            proxy.eat_next(b"/v3/kv/txn")
        record = fleet.store.read(deadline_s=_S)
        assert record is not None
        with pytest.raises(OutcomeUnknown):
            fleet.store.swap(expected_revision=record.revision, new=record.next(), lease=fleet.lease, deadline_s=1.0)
        assert one.requests(b"/v3/kv/txn") + two.requests(b"/v3/kv/txn") == sent_before + 1


def test_a_lost_answer_to_create_is_unknown(voters: Voters) -> None:
    with ReplyEater(voters.sites[0], 2379) as proxy:
        store = EtcdRecordStore(fleet=fleet_name(), endpoints=(proxy.address,), tls=None)
        lease = store.acquire(name="fleet", owner="test", ttl_s=30, deadline_s=_S)
        proxy.eat_next(b"/v3/kv/txn")
        with pytest.raises(OutcomeUnknown):
            store.create(FIRST, lease=lease, deadline_s=1.0)
        assert store.read(deadline_s=_S) == FIRST
        store.close()


def test_a_lost_answer_to_acquire_does_not_leave_the_lease_held(voters: Voters) -> None:
    with ReplyEater(voters.sites[0], 2379) as proxy:
        store = EtcdRecordStore(fleet=fleet_name(), endpoints=(proxy.address,), tls=None)
        proxy.eat_next(b"/v3/kv/txn")
        with pytest.raises(Unreachable):
            store.acquire(name="fleet", owner="test", ttl_s=60, deadline_s=1.0)
        assert store.holder(name="fleet", deadline_s=_S) is None
        store.acquire(name="fleet", owner="test", ttl_s=60, deadline_s=_S)
        store.close()


def test_nobody_listens_is_unreachable_at_once_for_a_swap(voters: Voters, make_fleet: Callable[..., Fleet]) -> None:
    with ReplyEater(voters.sites[0], 2379) as proxy:
        fleet = make_fleet(f"http://{proxy.address}")
        record = fleet.read_and_swap()
        proxy.close()
        with pytest.raises(Unreachable):
            fleet.store.swap(expected_revision=record.revision, new=record.next(), lease=fleet.lease, deadline_s=0.5)


def test_a_watch_at_a_voter_that_freezes_still_sees_the_change(
    voters: Voters, make_fleet: Callable[..., Fleet]
) -> None:
    voters.lead_from(2)
    fleet = make_fleet()
    watcher = EtcdRecordStore(fleet=fleet.name, endpoints=voters.endpoints, tls=None)
    seen: list[Record | None] = []
    waiting = threading.Thread(target=lambda: seen.append(watcher.wait_change(after_revision=1, timeout_s=15)))
    waiting.start()
    time.sleep(0.3)  # the watch stands at the first voter by now
    voters.send(0, signal.SIGSTOP)
    new = fleet.read_and_swap()
    began = time.monotonic()
    waiting.join()
    watcher.close()
    assert seen == [new]
    assert time.monotonic() - began < 8.0  # 0.7-1.2 s


def test_the_leader_is_kept_at_one_voter(voters: Voters) -> None:
    control = EtcdVoters(endpoints=voters.endpoints, tls=None)
    try:
        voters.lead_from(1)
        assert not control.keep_leader_at("v1", deadline_s=_S)
        assert control.keep_leader_at("v2", deadline_s=_S)
        assert voters.await_leader() == 2
        voters.kill(0)
        seen = control.status(deadline_s=1.0)
        assert [one.error == "" for one in seen] == [False, True, True]
        assert seen[2].leads
        with pytest.raises(Unreachable, match="cannot lead"):
            control.keep_leader_at("v0", deadline_s=2.0)
        with pytest.raises(Unreachable, match="no voter called"):
            control.keep_leader_at("nobody", deadline_s=2.0)
        assert voters.await_leader() == 2
    finally:
        control.close()


def test_a_voter_that_swallows_connections_costs_little(voters: Voters) -> None:
    with socket.socket() as hole, contextlib.ExitStack() as callers:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        address = f"127.0.0.1:{hole.getsockname()[1]}"
        for _ in range(3):  # the kernel's queue is full then: further calls are not even refused
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(hole.getsockname())
        fleet = Fleet((f"http://{address}", *voters.endpoints[1:]))
        try:
            assert took(fleet.read_and_swap) < 4.0  # 10 ms: the reads before have found a better voter
            assert fleet.store.wait_change(after_revision=0, timeout_s=5) is not None
        finally:
            fleet.store.close()


def test_without_a_certificate_nothing_is_learned(tls_voters: Voters) -> None:
    assert tls_voters.certificates is not None
    stranger = ssl.create_default_context(cafile=str(tls_voters.certificates.authority))
    store = EtcdRecordStore(fleet=fleet_name(), endpoints=tls_voters.endpoints, tls=stranger)
    with pytest.raises(Unreachable):
        store.read(deadline_s=1.0)
    store.close()
    believer = EtcdRecordStore(fleet=fleet_name(), endpoints=tls_voters.endpoints, tls=ssl.create_default_context())
    with pytest.raises(Unreachable):
        believer.read(deadline_s=1.0)
    believer.close()
