"""Laws of who ships when, of gaps, and of what an idle server writes."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.model.observation import ShippingFacts
from failover.model.record import Move
from failover.model.snapshot import WalChunk
from failover.model.units import is_member_id
from failover.planner.wal import (
    KEEP,
    REST,
    SETTLE_S,
    SHIP,
    SILENT_S,
    SLOT,
    ShipFacts,
    exposure_now,
    gap_before,
    missing,
    reach,
    ship_order,
)
from failover.planner.wal_records import nothing_of_anybodys
from tests.fakes.hosts import ALPHA, BETA, database, record

MOVE = Move(run="r1", kind="switchover", source=ALPHA, target=BETA, budget_s=10)

facts = st.builds(
    lambda of, site, state, member, more: ShipFacts(
        record=of,
        db=msgspec.structs.replace(database(site, of or record()), state=state, member=member),
        **more,
    ),
    st.sampled_from([None, record(), record(move=MOVE), record(primary=BETA, sync=(ALPHA,))]),
    st.sampled_from(["alpha", "beta"]),
    st.sampled_from(["absent", "stopped", "starting", "primary", "standby"]),
    st.sampled_from([ALPHA, BETA, ""]),
    st.fixed_dictionaries(
        {
            "serving": st.booleans(), "shipping": st.booleans(), "acknowledged": st.integers(0, 2**40),
            "move_age_s": st.floats(0, 20), "primary_s": st.floats(0, 20),
        }
    ),
)  # fmt: skip


@given(facts)
def test_only_the_records_own_primary_ships_and_never_while_it_is_moved_away(seen: ShipFacts) -> None:
    order = ship_order(seen)
    assert order.why
    if order.duty == SHIP:
        assert seen.record is not None and seen.db.state == "primary" and seen.db.member == seen.record.primary
        assert seen.record.move is None or seen.move_age_s >= seen.record.move.budget_s
    if order.duty == KEEP:
        assert seen.db.state == "standby" and order.safe == seen.acknowledged


@given(facts)
def test_once_it_ships_only_the_database_or_a_move_ends_it(seen: ShipFacts) -> None:
    """A gate that closes, or an app that is down, stops no shipping: what is exposed stays exposed."""
    mine = seen.record is not None and seen.db.state == "primary" and seen.db.member == seen.record.primary
    if mine and seen.record is not None and seen.record.move is None:
        assert ship_order(msgspec.structs.replace(seen, shipping=True, serving=False, primary_s=0.0)).duty == SHIP
        assert ship_order(msgspec.structs.replace(seen, shipping=False, primary_s=SETTLE_S)).duty == SHIP
        fresh = msgspec.structs.replace(seen, shipping=False, serving=False, primary_s=0.0)
        assert ship_order(fresh).duty == REST, "the first moments of a new primary are for who waits for it"


def test_its_name_is_no_members() -> None:
    assert not is_member_id(SLOT)
    assert "_" not in SLOT, "what stands before a _ is taken for a site"


chunks = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(
        lambda pair: WalChunk(timeline=1, start=pair[0], end=pair[0] + pair[1])
    ),
    max_size=12,
)


@given(chunks, st.integers(0, 60), st.integers(0, 60))
def test_a_gap_is_found_exactly_when_something_between_is_nowhere(
    shipped: list[WalChunk], kept: int, near: int
) -> None:
    """Whatever was shipped, and however little of it is looked at again, as long as what reaches ``kept`` is."""
    listed = [chunk for chunk in shipped if chunk.start >= min(near, kept - 20)]
    found = gap_before(listed, kept, any_before=any(chunk.end <= kept for chunk in shipped))
    before = [chunk for chunk in shipped if chunk.start <= kept]
    assert found == (bool(before) and max(chunk.end for chunk in before) < kept)


@given(chunks, chunks)
def test_what_is_copied_makes_a_store_as_good_as_the_others(own: list[WalChunk], others: list[WalChunk]) -> None:
    copied = missing(own, others)
    have = {at for chunk in (*own, *copied) for at in range(chunk.start, chunk.end)}
    assert have >= {at for chunk in others for at in range(chunk.start, chunk.end)}
    for chunk in copied:
        assert reach([each for each in own if each.end > chunk.start], chunk.start) < chunk.end, "it had it already"
    assert not missing([*own, *copied], others)


@given(st.integers(0, 2**30), st.floats(0, 100), st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_silent_shipper_never_looks_better_than_when_it_spoke(
    size: int, age_s: float, position: int, acknowledged: int
) -> None:
    said = ShippingFacts(duty=SHIP, acknowledged_lsn=acknowledged, exposure_bytes=size, exposure_s=1.0)
    now = exposure_now(said, age_s=age_s, position=position)
    assert now.exposure_bytes is not None and now.exposure_s is not None
    assert now.exposure_bytes >= size and now.exposure_s >= 1.0
    troubled = exposure_now(msgspec.structs.replace(said, error="x"), age_s=age_s, position=position)
    assert troubled.exposure_bytes is not None and troubled.exposure_bytes >= position - acknowledged
    if age_s >= SILENT_S:
        assert now.exposure_bytes >= position - acknowledged and now.exposure_s >= age_s


def beat(prefix: bytes = b"failover\0", message: bytes = b"", *, transactional: bool = False) -> bytes:
    head = struct.pack("<I?xxxQQ", 5, transactional, len(prefix), len(message))
    body = struct.pack("<BB", 0xFF, len(head) + len(prefix) + len(message)) + head + prefix + message
    return whole(21, 0, body)


def whole(manager: int, info: int, body: bytes, *, transaction: int = 0) -> bytes:
    raw = struct.pack("<IIQBBHI", 24 + len(body), transaction, 7, info, manager, 0, 99) + body
    return raw + bytes(-len(raw) % 8)


def laid_out(start: int, records: bytes) -> bytes:
    """As it lies in WAL: with the headers of the pages it crosses."""
    out = bytearray()
    while records:
        at = start + len(out)
        if at % 8192 == 0:
            long = at % (16 << 20) == 0
            out += struct.pack("<HHIQI", 0xD118, 2 if long else 0, 1, at, 0) + bytes(20 if long else 4)
            continue
        room = 8192 - at % 8192
        out += records[:room]
        records = records[room:]
    return bytes(out)


quiet = st.sampled_from([beat(), whole(0, 0x10, b"c" * 90), whole(0, 0xE0, b""), whole(8, 0x10, b"r" * 300)])
somebodys = st.sampled_from(
    [
        whole(10, 0, b"a row" * 9, transaction=700), whole(1, 0, b"commit", transaction=700), beat(message=b"x"),
        beat(b"their app"), beat(transactional=True), whole(0, 0x40, b""), whole(21, 0, b""),
        whole(8, 0x10, b"", transaction=3),
    ]
)  # fmt: skip
starts = st.integers(0, 4096).map(lambda at: at * 8 if at % 1024 else at * 8 + 24)


@given(starts, st.lists(quiet, min_size=1, max_size=400))
def test_housekeeping_is_nobodys(start: int, records: list[bytes]) -> None:
    assert nothing_of_anybodys(start, laid_out(start, b"".join(records)))


@given(starts, st.lists(quiet, max_size=200), somebodys, st.lists(quiet, max_size=20))
def test_one_record_of_somebodys_is_seen(start: int, before: list[bytes], one: bytes, after: list[bytes]) -> None:
    assert not nothing_of_anybodys(start, laid_out(start, b"".join([*before, one, *after])))


@given(starts, st.lists(quiet, min_size=1, max_size=200), st.data())
def test_what_is_cut_counts_as_somebodys(start: int, records: list[bytes], data: st.DataObject) -> None:
    ends, at = {0}, 0
    for each in records:
        at += len(each)
        ends.add(at)
    flat = b"".join(records)
    cut = data.draw(st.integers(1, len(flat) - 1).filter(lambda size: size not in ends))
    assert not nothing_of_anybodys(start, laid_out(start, flat[:cut]))


@pytest.mark.parametrize("junk", [b"", b"\0" * 64, b"x" * 100])
def test_junk_is_not_quiet(junk: bytes) -> None:
    assert not nothing_of_anybodys(0x2000000 + 48, junk)
