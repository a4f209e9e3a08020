"""The ledger's file: what was flushed is readable, whatever the end looks like; damage is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from failover.errors import Damaged
from failover.load.ledger import LedgerWriter, read_ledger
from failover.model.ledger import LedgerEnd, RequestKind, WriteSent
from tests.unit.load.lines import done, head

END = LedgerEnd(ended_s=9.0, writes=2, reads=1, unfinished=0, cpu_s=0.1, latest_send_ms=0.1)


def written(path: Path, *, end: bool = True) -> None:
    with LedgerWriter(path, head()) as writer:
        writer.add(WriteSent(id="a", sent_s=1.0))
        writer.add(done("a", failures=1))
        writer.flush()
        writer.add(WriteSent(id="b", sent_s=1.5))
        writer.add(done("r", kind=RequestKind.READ))
        if end:
            writer.add(END)


def test_reads_back_what_was_written(tmp_path: Path) -> None:
    written(tmp_path / "ledger")
    found = read_ledger(tmp_path / "ledger")
    assert found.head == head()
    assert found.writes == (done("a", failures=1),)
    assert found.reads == (done("r", kind=RequestKind.READ),)
    assert found.sent == {"a": 1.0, "b": 1.5}
    assert found.unfinished == ("b",)
    assert found.end == END
    assert not found.cut


def test_every_cut_leaves_a_readable_beginning(tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    written(whole)
    content = whole.read_bytes()
    counts = []
    for length in range(len(content)):
        cut = tmp_path / "cut"
        cut.write_bytes(content[:length])
        try:
            found = read_ledger(cut)
        except Damaged:
            # Nothing can be said before the head is there.
            assert not counts
            continue
        assert found.cut
        assert found.end is None or length == len(content)
        counts.append(len(found.sent) + len(found.writes) + len(found.reads))
    assert counts == sorted(counts)
    assert {0, 2} <= set(counts)


def test_a_ledger_without_its_end_says_that_it_was_cut(tmp_path: Path) -> None:
    written(tmp_path / "ledger", end=False)
    assert read_ledger(tmp_path / "ledger").cut


@pytest.mark.parametrize("content", [b"", b"no zstd at all, but long enough to be looked at"])
def test_something_else_is_damaged(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "ledger").write_bytes(content)
    with pytest.raises(Damaged):
        read_ledger(tmp_path / "ledger")


def test_damage_in_the_middle_is_named(tmp_path: Path) -> None:
    written(tmp_path / "ledger")
    content = bytearray((tmp_path / "ledger").read_bytes())
    middle = content.index(b"\x28\xb5\x2f\xfd", 10)
    content[middle : middle + 4] = b"\x00\x00\x00\x00"
    (tmp_path / "ledger").write_bytes(bytes(content))
    with pytest.raises(Damaged):
        read_ledger(tmp_path / "ledger")


def test_never_writes_over_another_ledger(tmp_path: Path) -> None:
    written(tmp_path / "ledger")
    with pytest.raises(FileExistsError):
        LedgerWriter(tmp_path / "ledger", head())


def test_is_readable_for_its_owner_only(tmp_path: Path) -> None:
    written(tmp_path / "ledger")
    assert (tmp_path / "ledger").stat().st_mode & 0o777 == 0o600
