"""What every record store promises: the in-memory fake, SQLite, three real etcd voters, and those with mutual TLS."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from failover.adapters import record_etcd
from failover.adapters.record_value import encode_record
from failover.errors import Damaged, LeaseHeld, LeaseLost
from failover.model.record import Move, Record, Timeline
from failover.model.units import MemberId
from failover.ports.record import Lease, RecordStore
from tests.contract.record.conftest import Bench

ALPHA, BETA = MemberId("alpha_00000001"), MemberId("beta_00000002")
FIRST = Record(epoch=0, revision=1, primary=ALPHA)
_S = 5.0


def take(store: RecordStore, name: str = "fleet", ttl_s: float = 30.0) -> Lease:
    return store.acquire(name=name, owner=f"test of {name}", ttl_s=ttl_s, deadline_s=_S)


def born(store: RecordStore) -> tuple[Record, Lease]:
    lease = take(store)
    assert store.create(FIRST, lease=lease, deadline_s=_S)
    return FIRST, lease


def test_nothing_is_there_before_it_is_written(bench: Bench) -> None:
    store = bench.client()
    assert store.read(deadline_s=_S) is None
    assert store.holder(name="fleet", deadline_s=_S) is None


def test_create_once(bench: Bench) -> None:
    store = bench.client()
    record, lease = born(store)
    assert not store.create(record, lease=lease, deadline_s=_S)
    assert bench.client().read(deadline_s=_S) == record


def test_everything_in_a_record_is_read_back(bench: Bench) -> None:
    store = bench.client()
    record, lease = born(store)
    move = Move(run="20261123T003105-switchover-ab12", kind="switchover", source=ALPHA, target=BETA, budget_s=8.5)
    second = record.next(
        epoch=1, sync=(BETA,), timelines=(Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=2**61)), move=move,
        flushed_lsn=2**62, system_identifier="7345678901234567890",
    )  # fmt: skip
    assert store.swap(expected_revision=1, new=second, lease=lease, deadline_s=_S)
    assert bench.client().read(deadline_s=_S) == second


def test_a_stale_revision_changes_nothing(bench: Bench) -> None:
    store, other = bench.client(), bench.client()
    record, lease = born(store)
    assert other.read(deadline_s=_S) == record
    assert store.swap(expected_revision=1, new=record.next(), lease=lease, deadline_s=_S)
    stale = record.next(flushed_lsn=7)
    assert not other.swap(expected_revision=1, new=stale, lease=lease, deadline_s=_S)
    assert not store.swap(expected_revision=1, new=stale, lease=lease, deadline_s=_S)
    assert not store.swap(
        expected_revision=9, new=msgspec.structs.replace(stale, revision=10), lease=lease, deadline_s=_S
    )
    assert other.read(deadline_s=_S) == record.next()


def test_a_swap_without_a_record_changes_nothing(bench: Bench) -> None:
    store = bench.client()
    lease = take(store)
    assert not store.swap(expected_revision=1, new=FIRST.next(), lease=lease, deadline_s=_S)
    assert store.read(deadline_s=_S) is None


@pytest.mark.parametrize(
    "change",
    [
        {"revision": 3},
        {"revision": 1},
        {"primary": BETA},
        {"epoch": 2},
        {"sync": (ALPHA,)},
    ],
)
def test_an_illegal_successor_is_refused(bench: Bench, change: dict[str, object]) -> None:
    store = bench.client()
    record, lease = born(store)
    with pytest.raises(ValueError, match=r"\w"):
        store.swap(
            expected_revision=1, new=msgspec.structs.replace(record.next(), **change), lease=lease, deadline_s=_S
        )
    assert bench.client().read(deadline_s=_S) == record


def test_an_illegal_first_record_is_refused(bench: Bench) -> None:
    store = bench.client()
    lease = take(store)
    with pytest.raises(ValueError, match="epoch 0"):
        store.create(msgspec.structs.replace(FIRST, epoch=3), lease=lease, deadline_s=_S)
    assert store.read(deadline_s=_S) is None


def test_a_lease_excludes_and_says_who_and_since_when(bench: Bench) -> None:
    store, other = bench.client(), bench.client()
    lease = take(store)
    view = other.holder(name="fleet", deadline_s=_S)
    assert view is not None
    assert (view.name, view.owner) == ("fleet", "test of fleet")
    assert view.since.endswith("Z")
    with pytest.raises(LeaseHeld, match="test of fleet since 2"):
        take(other)
    take(other, "keeper-beta")  # another name is another lease
    store.release(lease, deadline_s=_S)
    store.release(lease, deadline_s=_S)
    assert other.holder(name="fleet", deadline_s=_S) is None
    assert take(other).token != lease.token


def test_a_released_lease_writes_nothing(bench: Bench) -> None:
    store = bench.client()
    record, lease = born(store)
    store.release(lease, deadline_s=_S)
    with pytest.raises(LeaseLost):
        store.swap(expected_revision=1, new=record.next(), lease=lease, deadline_s=_S)
    with pytest.raises(LeaseLost):
        store.create(FIRST, lease=lease, deadline_s=_S)
    with pytest.raises(LeaseLost):
        store.renew(lease, deadline_s=_S)
    assert store.read(deadline_s=_S) == record


def test_an_expired_lease_writes_nothing_and_can_be_taken(bench: Bench) -> None:
    store, other = bench.client(), bench.client()
    born(store)
    short = take(store, "keeper-alpha", ttl_s=1.0)
    store.renew(short, deadline_s=_S)
    bench.expire(other, short)
    with pytest.raises(LeaseLost):
        store.swap(expected_revision=1, new=FIRST.next(), lease=short, deadline_s=_S)
    with pytest.raises(LeaseLost):
        store.renew(short, deadline_s=_S)
    taken = take(other, "keeper-alpha")
    assert taken.after is not None and taken.after.owner == short.owner, "it was never given back: whose it was is told"
    assert other.swap(expected_revision=1, new=FIRST.next(), lease=taken, deadline_s=_S)


def test_a_lease_that_was_given_back_leaves_no_trace(bench: Bench) -> None:
    store, other = bench.client(), bench.client()
    first = take(store)
    assert first.after is None
    store.release(first, deadline_s=_S)
    second = take(other)
    assert second.after is None
    store.release(first, deadline_s=_S)  # late, and again: it is not the second one's
    with pytest.raises(LeaseHeld):
        take(store)
    other.release(second, deadline_s=_S)
    assert take(store).after is None


def test_a_stolen_lease_writes_nothing_even_with_the_right_revision(bench: Bench) -> None:
    store, thief = bench.client(), bench.client()
    record, lease = born(store)
    thief.release(lease, deadline_s=_S)
    stolen = take(thief)
    with pytest.raises(LeaseLost):
        store.swap(expected_revision=1, new=record.next(), lease=lease, deadline_s=_S)
    with pytest.raises(LeaseLost):
        store.renew(lease, deadline_s=_S)
    store.release(lease, deadline_s=_S)  # must not take the thief's away
    assert thief.swap(expected_revision=1, new=record.next(), lease=stolen, deadline_s=_S)


def test_a_lost_lease_is_told_before_a_stale_revision(bench: Bench) -> None:
    store, other = bench.client(), bench.client()
    record, lease = born(store)
    store.read(deadline_s=_S)
    store.release(lease, deadline_s=_S)
    fresh = take(other)
    assert other.swap(expected_revision=1, new=record.next(), lease=fresh, deadline_s=_S)
    with pytest.raises(LeaseLost):
        store.swap(expected_revision=1, new=record.next(), lease=lease, deadline_s=_S)


def test_one_of_many_wins_each_revision(bench: Bench) -> None:
    store = bench.client()
    _, lease = born(store)
    rounds, contenders = 5, 4
    gate = threading.Barrier(contenders, timeout=30)
    wins: list[tuple[int, int]] = []

    def contend(number: int, client: RecordStore) -> None:
        for _ in range(rounds):
            before = client.read(deadline_s=_S)
            assert before is not None
            gate.wait()
            new = before.next(flushed_lsn=number)
            if client.swap(expected_revision=before.revision, new=new, lease=lease, deadline_s=_S):
                wins.append((new.revision, number))
            gate.wait()

    threads = [threading.Thread(target=contend, args=(n, bench.client())) for n in range(contenders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(revision for revision, _ in wins) == list(range(2, 2 + rounds))
    last = store.read(deadline_s=_S)
    assert last is not None
    assert (last.revision, last.flushed_lsn) == max(wins)


def test_waiting_ends_with_the_change(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_etcd, "_WATCH_SILENCE_S", 60.0)  # so that only the watch itself can end it
    store, other = bench.client(), bench.client()
    record, lease = born(store)
    assert other.wait_change(after_revision=0, timeout_s=_S) == record
    assert other.wait_change(after_revision=1, timeout_s=0.3) is None
    if bench.kind == "sqlite":
        return  # its clock stands still between two looks
    seen: list[Record | None] = []

    def wait() -> None:
        seen.append(other.wait_change(after_revision=1, timeout_s=30.0))

    waiter = threading.Thread(target=wait)
    waiter.start()
    began = time.monotonic()
    time.sleep(0.2)
    assert store.swap(expected_revision=1, new=record.next(), lease=lease, deadline_s=_S)
    waiter.join()
    assert seen == [record.next()]
    assert time.monotonic() - began < 25.0


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not json",
        b"\xff\xfe",
        b'{"epoch": 1}',
        encode_record(msgspec.structs.replace(FIRST, version=3)),
        encode_record(msgspec.structs.replace(FIRST, revision=0)),
        encode_record(msgspec.structs.replace(FIRST, epoch=-1)),
        encode_record(msgspec.structs.replace(FIRST, primary=MemberId("alpha"))),
        encode_record(msgspec.structs.replace(FIRST, sync=(ALPHA,))),
        encode_record(msgspec.structs.replace(FIRST, sync=(BETA, BETA))),
    ],
)
def test_a_damaged_value_is_damaged_for_everybody(bench: Bench, content: bytes) -> None:
    store = bench.client()
    record, lease = born(store)
    bench.damage(content)
    for call in (
        lambda: store.read(deadline_s=_S),
        lambda: bench.client().read(deadline_s=_S),
        lambda: bench.client().swap(expected_revision=1, new=record.next(), lease=lease, deadline_s=_S),
        lambda: bench.client().wait_change(after_revision=1, timeout_s=_S),
    ):
        with pytest.raises(Damaged) as caught:
            call()
        assert caught.value.exit_status == 9
        assert caught.value.hint


def test_a_record_that_went_back_is_damaged(bench: Bench) -> None:
    store = bench.client()
    record, lease = born(store)
    assert store.swap(expected_revision=1, new=record.next(epoch=1), lease=lease, deadline_s=_S)
    assert store.read(deadline_s=_S) is not None
    bench.damage(encode_record(record))
    with pytest.raises(Damaged, match="went back"):
        store.read(deadline_s=_S)


def test_closing_twice_is_silent(bench: Bench) -> None:
    store = bench.client()
    store.close()
    store.close()
    assert bench.client().read(deadline_s=_S) is None
