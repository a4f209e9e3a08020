"""``media status | sync | verify`` over stores in memory: what is counted, what is written, what is never written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from failover.errors import Damaged, Denied, Unreachable
from failover.operations.media_missing import read_missing
from failover.trust.seal import SealKey
from tests.fakes.media_world import MediaWorld, key_of

A, B, C = b"one", b"two", b"three"
DOWN = Unreachable("no connection", where="north")


@pytest.fixture
def world(tmp_path: Path) -> MediaWorld:
    return MediaWorld(tmp_path)


def test_what_one_store_lacks_it_is_given_and_a_second_pass_finds_nothing(world: MediaWorld) -> None:
    world.refer(A, B, C)
    world.hold(world.north, A, B)
    world.hold(world.south, A, C)
    before = world.run("status")
    assert [(one.objects, one.missing, one.copied) for one in before.stores] == [(2, 1, 0), (2, 1, 0)]
    assert (before.expected, before.in_step, before.index_site) == (3, 1, "alpha")
    assert world.held(world.north) == {A, B}
    done = world.run("sync")
    assert [one.copied for one in done.stores] == [1, 1]
    assert world.held(world.north) == world.held(world.south) == {A, B, C}
    again = world.run("sync")
    assert (again.in_step, [one.copied for one in again.stores], again.trouble_counts) == (3, [0, 0], {})


def test_what_the_app_does_not_refer_to_is_neither_copied_nor_removed(world: MediaWorld) -> None:
    world.refer(A)
    world.hold(world.north, A, B)
    world.hold(world.south, A, C)
    report = world.run("sync")
    assert report.unreferenced == 2
    assert world.held(world.north) == {A, B}
    assert world.held(world.south) == {A, C}


def test_without_an_index_every_object_is_wanted_and_it_is_said(tmp_path: Path) -> None:
    world = MediaWorld(tmp_path, indexed=False)
    world.hold(world.north, A)
    world.hold(world.south, B)
    report = world.run("sync")
    assert world.held(world.north) == world.held(world.south) == {A, B}
    assert "cannot be told" in report.notes[0]


def test_a_bad_copy_is_found_and_then_given_the_bytes_of_a_good_one(world: MediaWorld) -> None:
    world.refer(A, B)
    world.hold(world.north, A, B)
    world.hold(world.south, A, B)
    world.south.flip(key_of(A))
    found = world.run("verify")
    assert found.trouble_counts == {"damaged": 1}
    assert (found.troubles[0].stores, found.troubles[0].good) == (("south",), ("north",))
    assert [one.damaged for one in found.stores] == [0, 1]
    assert world.south.objects[key_of(A)][0] != A
    mended = world.run("sync")
    assert [one.repaired for one in mended.stores] == [0, 1]
    assert world.south.objects[key_of(A)][0] == A
    assert world.run("verify").trouble_counts == {}


def test_where_no_copy_is_good_nothing_is_written(world: MediaWorld) -> None:
    world.refer(A)
    world.hold(world.north, A)
    world.hold(world.south, A)
    world.north.flip(key_of(A), 0)
    world.south.flip(key_of(A), 1)
    before = dict(world.north.objects), dict(world.south.objects)
    report = world.run("sync")
    assert report.trouble_counts == {"damaged": 1}
    assert (world.north.objects, world.south.objects) == before


def test_a_bad_copy_is_never_spread(world: MediaWorld) -> None:
    world.refer(A)
    world.hold(world.north, A)
    world.north.flip(key_of(A))
    report = world.run("sync")
    assert report.trouble_counts == {"not-copied": 1}
    assert world.south.objects == {}


def test_sums_that_are_none_are_found_out_once(tmp_path: Path) -> None:
    """A store that encrypts what it keeps has ETags that look like MD5 sums."""
    world = MediaWorld(tmp_path)
    bodies = [b"%d" % number for number in range(3000)]
    world.refer(*bodies)
    world.hold(world.north, *bodies)
    world.hold(world.south, *bodies)
    told = world.south._told
    world.south._told = lambda key: _etag(told(key))  # type: ignore[method-assign]
    report = world.run("sync")
    assert report.in_step == 3000
    assert report.trouble_counts == {}
    assert 0 < report.stores[0].read < 2500, "found out on the way, not by reading everything"


def _etag(told: object) -> object:
    import msgspec

    assert isinstance(told, msgspec.Struct)
    key = str(getattr(told, "key", ""))
    return msgspec.structs.replace(told, etag=hashlib.sha256(key.encode()).hexdigest()[:32])


def test_when_a_source_dies_the_list_of_what_is_missing_is_exact_and_signed(world: MediaWorld, tmp_path: Path) -> None:
    world.refer(A, B, C)
    world.hold(world.north, A, B, C)
    world.hold(world.south, A)
    world.north.faults = [DOWN]
    report = world.run("status")
    assert report.stores[0].error
    assert report.trouble_counts == {"lost": 2}
    key = SealKey.at(tmp_path / ".failover" / "trust" / "seal.key")
    summary, lines = read_missing(Path(report.missing_list), trusted=(key.public,))
    assert (summary.silent, summary.answered, summary.expected, summary.objects) == (("north",), ("south",), 3, 2)
    wanted = sorted((B, C), key=key_of)
    assert lines == [f"{hashlib.sha256(body).hexdigest()} {len(body)} {key_of(body)}" for body in wanted]
    stranger = SealKey.at(tmp_path / "other.key")
    with pytest.raises(Denied):
        read_missing(Path(report.missing_list), trusted=(stranger.public,))
    listed = Path(report.missing_list).with_name(summary.list_name)
    listed.write_text("\n".join(lines[:1]))
    with pytest.raises(Damaged):
        read_missing(Path(report.missing_list), trusted=(key.public,))


def test_a_store_that_dies_during_the_pass_is_left_out_of_another_one(world: MediaWorld) -> None:
    world.refer(A, B)
    world.hold(world.north, A)
    world.hold(world.south, A, B)
    asked = world.north.list

    async def dies(prefix: str = "", *, stall_s: float, start_after: str = ""):  # type: ignore[no-untyped-def]
        async for told in asked(prefix, stall_s=stall_s):
            yield told
            raise DOWN

    world.north.list = dies  # type: ignore[method-assign]
    report = world.run("status")
    assert report.stores[0].error == str(DOWN)
    assert (report.stores[1].objects, report.in_step, report.expected) == (2, 2, 2)
    assert report.trouble_counts == {}


def test_without_any_store_or_answer_there_is_no_report(world: MediaWorld) -> None:
    world.north.faults = [DOWN]
    world.south.faults = [DOWN]
    with pytest.raises(Unreachable, match="no store answers"):
        world.run("status")


@pytest.mark.parametrize("when", ["open", "reading"])
def test_an_index_that_cannot_be_read_is_said_and_nothing_is_called_lost(world: MediaWorld, when: str) -> None:
    world.refer(A, B, C)
    world.hold(world.north, A)
    (world.index.faults if when == "open" else world.index.breaks).append(Unreachable("no database"))
    report = world.run("sync")
    assert "no database" in report.notes[0]
    assert (report.index_site, report.trouble_counts) == ("", {})
    assert world.held(world.south) == {A}


def test_verify_of_a_sample_reads_about_that_many(world: MediaWorld) -> None:
    bodies = [b"%d" % number for number in range(400)]
    world.refer(*bodies)
    world.hold(world.north, *bodies)
    world.hold(world.south, *bodies)
    report = world.run("verify", one_in=10)
    assert 10 < report.stores[0].read < 90
    assert world.run("verify").stores[0].read == 400
