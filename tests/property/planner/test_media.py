"""The merge of sorted listings: whatever the listings and however they come in pages, each object is judged once and
right, and nothing that is asked for can cost the last good copy."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from failover.model.media import Expected, Held
from failover.planner.media import Compare, Copy, Decision, InStep, Lost, Merge, Unreferenced, mend

STORES = ("a", "b", "c")
KEYS = st.text(string.ascii_lowercase[:3], min_size=1, max_size=3)
ETAGS = st.sampled_from([None, "0" * 32, "1" * 32, "0" * 32 + "-2"])
HELD = st.builds(Held, size_bytes=st.integers(0, 2), etag=ETAGS)
LISTING = st.dictionaries(KEYS, HELD, max_size=12)
INDEX = st.dictionaries(KEYS, st.integers(-1, 2), max_size=12)
CUTS = st.lists(st.integers(1, 5), min_size=1, max_size=5)


def expectation(key: str, size_bytes: int) -> Expected:
    return Expected(key=key, sha256=key.ljust(64, "0"), size_bytes=size_bytes)


def decided(
    listings: dict[str, dict[str, Held]], index: dict[str, int] | None, cuts: list[int]
) -> tuple[list[Decision], int]:
    """What the merge says, fed in pages cut so; and the most entries that any lane held at once."""
    merge = Merge(tuple(listings), indexed=index is not None)
    lanes: dict[str, list[tuple[str, Held | Expected]]] = {
        name: sorted(listing.items()) for name, listing in listings.items()
    }
    if index is not None:
        lanes[""] = [(key, expectation(key, size)) for key, size in sorted(index.items())]
    at, turn, most, found = dict.fromkeys(lanes, 0), 0, 0, list[Decision]()
    while wanted := merge.wants():
        for lane in wanted:
            size = cuts[turn % len(cuts)]
            turn += 1
            page = lanes[lane][at[lane] : at[lane] + size]
            at[lane] += len(page)
            most = max(most, len(page))
            merge.feed(lane, page) if page else merge.end(lane)
        found += merge.take()
    return found, most


def wanted_of(key: str, listings: dict[str, dict[str, Held]], index: dict[str, int] | None) -> type[Decision]:
    """The same, from the whole at once."""
    held = [listing[key] for listing in listings.values() if key in listing]
    if index is not None and key not in index:
        return Unreferenced
    if not held:
        return Lost
    sizes = {one.size_bytes for one in held}
    sums = {one.etag for one in held if one.etag is not None and "-" not in one.etag}
    told = -1 if index is None else index[key]
    if len(sizes) > 1 or len(sums) > 1 or (told != -1 and {told} != sizes):
        return Compare
    return InStep if len(held) == len(listings) else Copy


@given(listings=st.lists(LISTING, min_size=1, max_size=3), index=st.none() | INDEX, cuts=CUTS)
def test_each_object_is_judged_once_whatever_the_pages(
    listings: list[dict[str, Held]], index: dict[str, int] | None, cuts: list[int]
) -> None:
    named = dict(zip(STORES, listings, strict=False))
    found, most = decided(named, index, cuts)
    keys = sorted({key for listing in listings for key in listing} | set(index or ()))
    assert [one.key for one in found] == keys
    assert [type(one) for one in found] == [wanted_of(key, named, index) for key in keys]
    assert most <= max(cuts)


@given(listings=st.lists(LISTING, min_size=2, max_size=3), index=st.none() | INDEX, cuts=CUTS)
def test_a_copy_goes_from_who_has_it_to_who_has_not(
    listings: list[dict[str, Held]], index: dict[str, int] | None, cuts: list[int]
) -> None:
    named = dict(zip(STORES, listings, strict=False))
    for one in decided(named, index, cuts)[0]:
        having = tuple(name for name, listing in named.items() if one.key in listing)
        lacking = tuple(name for name in named if name not in having)
        if isinstance(one, Copy):
            assert (one.sources, one.targets) == (having, lacking)
        if isinstance(one, Compare):
            assert (one.stores, one.absent) == (having, lacking)


@given(read=st.dictionaries(st.sampled_from(STORES), st.sampled_from(["x", "y"])), sha256=st.sampled_from(["", "x"]))
def test_mending_never_writes_over_a_good_copy_nor_from_a_guess(read: dict[str, str], sha256: str) -> None:
    absent = [name for name in STORES if name not in read]
    plan = mend(sha256, read, absent)
    assert not set(plan.targets) & set(plan.good)
    assert plan.torn == (plan.targets == () and plan.good == ())
    assert {read[name] for name in plan.good} <= ({sha256} if sha256 else set(read.values()))
    if plan.targets:
        assert plan.good
        assert len({read[name] for name in plan.good}) == 1
        assert set(plan.targets) == set(STORES) - set(plan.good)


@pytest.mark.parametrize("page", [["b", "a"], ["a", "a"]])
def test_a_listing_out_of_order_is_refused(page: list[str]) -> None:
    merge = Merge(("s",), indexed=False)
    with pytest.raises(ValueError, match="came after"):
        merge.feed("s", [(key, Held(size_bytes=1)) for key in page])
    merge.feed("s", [("m", Held(size_bytes=1))])
    assert [one.key for one in merge.take()] == ["m"]
    with pytest.raises(ValueError, match="came after"):
        merge.feed("s", [("l", Held(size_bytes=1))])


def lanes_of(size: int, etags: tuple[str | None, str | None]) -> list[Decision]:
    merge = Merge(("a", "b"), indexed=False)
    for name, etag in zip("ab", etags, strict=True):
        merge.feed(name, [("k", Held(size_bytes=size, etag=etag))])
        merge.end(name)
    return merge.take()


@pytest.mark.parametrize(
    ("etags", "kind"),
    [
        (("0" * 32, "1" * 32), Compare), (("0" * 32, "0" * 32), InStep), (("0" * 32, None), InStep),
        (("0" * 32 + "-1", "1" * 32), InStep), (("0" * 32 + "-1", "1" * 32 + "-2"), InStep),
    ],
)  # fmt: skip
def test_only_etags_that_can_be_sums_are_compared(etags: tuple[str | None, str | None], kind: type[Decision]) -> None:
    assert [type(one) for one in lanes_of(1, etags)] == [kind]
