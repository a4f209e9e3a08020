"""Laws of shipped WAL: nothing is called held that a gap or a single provider leaves open."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.model.snapshot import WalChunk, parse_chunk
from failover.planner.wal import Gap, Stretch, counted, cover, reach, stretches, timeline_at

chunks = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 20)).map(
        lambda pair: WalChunk(timeline=1, start=pair[0], end=pair[0] + pair[1])
    ),
    max_size=12,
)


def bytes_of(found: list[WalChunk]) -> set[int]:
    return {at for chunk in found for at in range(chunk.start, chunk.end)}


@given(chunks, st.integers(0, 60))
def test_reach_ends_at_the_first_missing_byte(found: list[WalChunk], start: int) -> None:
    end = reach(found, start)
    have = bytes_of(found)
    assert all(at in have for at in range(start, end))
    assert end not in have


@given(chunks, st.integers(0, 60), st.integers(0, 30))
def test_a_cover_has_every_byte_or_names_the_gap(found: list[WalChunk], start: int, length: int) -> None:
    answer = cover(found, timeline=1, start=start, end=start + length)
    wanted = set(range(start, start + length))
    if isinstance(answer, Gap):
        assert answer.start in wanted - bytes_of(found)
    else:
        assert wanted <= bytes_of(list(answer))
        assert set(answer) <= set(found)
        assert len(set(answer)) == len(answer)


@given(st.dictionaries(st.sampled_from(["alpha", "beta", "gamma"]), chunks))
def test_only_what_two_providers_hold_counts(held: dict[str, list[WalChunk]]) -> None:
    for chunk in counted(held):
        assert sum(chunk in chunks for chunks in held.values()) >= 2


@given(st.integers(0, 2**62), st.integers(1, 2**40))
def test_a_chunks_name_says_what_it_holds_and_sorts(start: int, length: int) -> None:
    chunk = WalChunk(timeline=3, start=start, end=start + length)
    assert parse_chunk(chunk.name, 3) == chunk
    later = WalChunk(timeline=3, start=start + length, end=start + 2 * length)
    assert chunk.name < later.name


@pytest.mark.parametrize("name", ["", "x", "0000000000000002-0000000000000001.zst.age", "00000002.history.zst.age"])
def test_what_is_no_chunk_is_none(name: str) -> None:
    assert parse_chunk(name, 1) is None


def test_a_chunk_of_another_timeline_fills_no_gap() -> None:
    found = [WalChunk(timeline=1, start=0, end=10), WalChunk(timeline=2, start=10, end=20)]
    assert cover(found, timeline=1, start=0, end=20) == Gap(timeline=1, start=10)


def test_the_way_over_two_promotions() -> None:
    history = b"1\t0/100\tno recovery target specified\n\n2\t0/180\tbefore 2026-11-25\n# a comment\n"
    way = stretches(history, 3)
    assert way == (
        Stretch(timeline=1, start=0, end=0x100),
        Stretch(timeline=2, start=0x100, end=0x180),
        Stretch(timeline=3, start=0x180, end=None),
    )
    assert [timeline_at(way, lsn) for lsn in (0, 0xFF, 0x100, 0x17F, 0x180, 0x9999)] == [1, 1, 2, 2, 3, 3]
    assert stretches(b"", 1) == (Stretch(timeline=1, start=0, end=None),)
