"""Shipped WAL comes back byte by byte, over a promotion too; a gap says where it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from failover.data.catalog import Entry
from failover.data.further import Further, Reader, fetch_further
from failover.data.squeeze import squeeze_bytes
from failover.data.wal_seal import wal_note
from failover.errors import Damaged, Refused
from failover.model.snapshot import TableDigest, wal_prefix
from failover.model.units import Lsn
from failover.ports.scratch import Arrival
from failover.trust.seal import SealKey
from tests.unit.data.small_world import IDENTIFIER, SEGMENT, SmallWorld
from tests.unit.data.test_walship import START, WAL, Server, host_seal, run

FORK, END = 0x14000, START + len(WAL)


class Looker:
    """``Scratch`` that only knows where the last record is."""

    def __init__(self, last: Lsn, *, ends: dict[int, Lsn] | None = None) -> None:
        self.last = last
        self.ends = ends or {}
        self.asked: list[tuple[int, Lsn]] = []

    def last_record(self, wal: Path, *, timeline: int, start: Lsn) -> Lsn:
        self.asked.append((timeline, start))
        return self.last

    def first_end_after(self, wal: Path, *, timeline: int, start: Lsn, moment: datetime) -> Lsn:
        return self.ends.get(timeline, 0)

    def verify_files(self, folder: Path) -> None: ...
    def combine(self, folders: Sequence[Path], into: Path) -> None: ...
    def recover(self, folder: Path, *, arrival: Arrival, wal: Path | None, lasting: bool) -> None: ...
    def check_structure(self, database: str) -> None: ...
    def digests(self, database: str) -> tuple[TableDigest, ...]:
        return ()

    def sweep(self, folder: Path) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture
def world(tmp_path: Path) -> SmallWorld:
    """A snapshot that stops at 0/10100, and WAL of two timelines after it."""
    made = SmallWorld(SealKey.at(tmp_path / "seal.key"))
    made.take()
    run(made, Server({1: FORK, 2: END}), until=lambda shipped: shipped.timeline == 2 and shipped.acknowledged == END)
    return made


def entry(world: SmallWorld) -> Entry:
    return world.catalog().entries[0]


def fetched(world: SmallWorld, tmp_path: Path, further: Further, scratch: Looker) -> Arrival:
    seed = tmp_path / "seed"
    seed.mkdir(exist_ok=True)
    (seed / "000000010000000000000001").write_bytes(WAL[:0x100] + bytes(SEGMENT - 0x100))
    seals = (host_seal(world).public, host_seal(world, "beta").public)
    reader = Reader(stores=tuple(world.stores), keys=(world.keys[0],), seals=seals)
    return asyncio.run(fetch_further(entry(world), reader, scratch, further, into=tmp_path / "into", seed=seed))


def test_every_byte_comes_back_over_a_promotion(world: SmallWorld, tmp_path: Path) -> None:
    scratch = Looker(END - 64)
    arrival = fetched(world, tmp_path, Further(timeline=2), scratch)
    assert arrival == Arrival(where="after", lsn=END - 64, timeline=2)
    assert scratch.asked == [(2, FORK)]
    into = tmp_path / "into"
    assert (into / "00000002.history").read_bytes() == b"1\t0/14000\tpromoted\n"
    old, new = (into / f"0000000{timeline}0000000000000001" for timeline in (1, 2))
    assert old.stat().st_size == new.stat().st_size == SEGMENT
    assert old.read_bytes()[: FORK - START] == WAL[: FORK - START]
    assert new.read_bytes()[: len(WAL)] == WAL, "what comes before the fork is the old timeline's"


def test_a_restore_to_before_the_promotion_needs_only_the_first_timeline(world: SmallWorld, tmp_path: Path) -> None:
    arrival = fetched(world, tmp_path, Further(timeline=2, to=0x12000), Looker(0))
    assert arrival == Arrival(where="before", lsn=0x12000, timeline=1)
    assert not (tmp_path / "into" / "000000020000000000000001").exists()


def test_where_nothing_new_was_shipped_the_snapshot_itself_is_the_latest(world: SmallWorld, tmp_path: Path) -> None:
    own = Arrival(where="before", lsn=0x10200)
    assert fetched(world, tmp_path, Further(timeline=2), Looker(0)) == own
    assert fetched(world, tmp_path, Further(timeline=2), Looker(0x10150)) == own


def test_a_time_is_found_on_either_timeline(world: SmallWorld, tmp_path: Path) -> None:
    further = Further(timeline=2, moment=datetime(2026, 11, 26, tzinfo=UTC))
    for timeline, lsn in ((1, 0x12340), (2, 0x15000)):
        arrival = fetched(world, tmp_path, further, Looker(END, ends={timeline: lsn}))
        assert arrival == Arrival(where="before", lsn=lsn, timeline=timeline)
    with pytest.raises(Refused, match="no transaction ended after 2026-11-26T00:00:00"):
        fetched(world, tmp_path, further, Looker(END))


@pytest.mark.parametrize(("to", "said"), [(END, "the stores' WAL ends at"), (0x10000, "no earlier LSN")])
def test_what_cannot_be_reached_is_refused(world: SmallWorld, tmp_path: Path, to: Lsn, said: str) -> None:
    with pytest.raises(Damaged, match=said):
        fetched(world, tmp_path, Further(timeline=2, to=to), Looker(0))


def test_a_gap_is_named_and_one_good_copy_is_enough(world: SmallWorld, tmp_path: Path) -> None:
    prefix = wal_prefix("shop", IDENTIFIER, 1)
    key = sorted(key for key in world.stores[0].objects if key.startswith(prefix))[2]
    world.stores[0].flip(key, at=100)
    assert fetched(world, tmp_path, Further(timeline=2), Looker(END)).lsn == END
    del world.stores[0].objects[key]
    assert fetched(world, tmp_path, Further(timeline=2), Looker(END)).lsn == END
    world.stores[1].flip(key, at=100)
    with pytest.raises(Damaged, match="no store has a good copy"):
        fetched(world, tmp_path, Further(timeline=2), Looker(END))
    del world.stores[1].objects[key]
    with pytest.raises(Damaged, match="no store has WAL of timeline 1 from 0/11770"):
        fetched(world, tmp_path, Further(timeline=2), Looker(END))


@pytest.mark.parametrize("how", ["not signed", "signed by a stranger", "signed as another", "in the place of another"])
def test_what_no_host_of_ours_wrote_there_is_never_replayed(world: SmallWorld, tmp_path: Path, how: str) -> None:
    """Whoever holds a store knows whom it is encrypted to, and its keys: only the signature is not theirs to make."""
    prefix = wal_prefix("shop", IDENTIFIER, 1)
    first, key, *_ = sorted(key for key in world.stores[0].objects if key.startswith(prefix))
    forged = bytes(3000)
    to_all = [each.public for each in world.keys]
    notes = {
        "not signed": b"",
        "signed by a stranger": wal_note(SealKey.at(tmp_path / "stranger.key"), key=key, data=forged),
        "signed as another": wal_note(host_seal(world), key=first, data=forged),
    }
    body = world.stores[0].objects[first][0]
    if how in notes:
        body = squeeze_bytes(forged, name=key, recipients=to_all, note=notes[how])[1]
    good = world.stores[0].objects[key]
    world.stores[0].objects[key] = (body, good[1])
    assert fetched(world, tmp_path, Further(timeline=2), Looker(END)).lsn == END
    assert (tmp_path / "into" / "000000010000000000000001").read_bytes()[:FORK - START] == WAL[: FORK - START]
    world.stores[1].objects[key] = (body, good[1])
    with pytest.raises(Damaged, match="no store has a good copy"):
        fetched(world, tmp_path, Further(timeline=2), Looker(END))
