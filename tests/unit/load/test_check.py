"""The checker: each kind of difference is seen, and only that one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from failover.load.check import compare, read_back
from failover.load.workload import ReadBack, id_prefix, write_id
from tests.unit.load.lines import AMBIGUOUS, FAILED, done, ledger

WRITES = [done("a"), done("b"), done("c", outcome=AMBIGUOUS), done("d", outcome=FAILED)]


def test_everything_acknowledged_is_there_once() -> None:
    found = compare(ledger(*WRITES), ["a", "b"])
    assert (found.acknowledged, found.lost, found.duplicated, found.unknown) == (2, (), (), ())
    assert found.unacknowledged_but_present == ()


def test_an_acknowledged_write_without_a_row_is_lost() -> None:
    assert compare(ledger(*WRITES), ["b"]).lost == ("a",)


def test_an_unacknowledged_write_without_a_row_is_not_lost() -> None:
    assert compare(ledger(*WRITES), ["a", "b"]).lost == ()


def test_a_second_row_is_a_duplicate_whether_acknowledged_or_not() -> None:
    assert compare(ledger(*WRITES), ["a", "a", "b", "c", "c", "c"]).duplicated == ("a", "c")


def test_rows_of_writes_nobody_acknowledged_are_counted_apart() -> None:
    found = compare(ledger(*WRITES, sent=("unfinished",)), ["a", "b", "c", "unfinished"])
    assert found.unacknowledged_but_present == ("c", "unfinished")
    assert found.unknown == ()


def test_rows_nobody_sent_are_unknown() -> None:
    assert compare(ledger(*WRITES), ["a", "b", "stranger"]).unknown == ("stranger",)


def test_figures_are_the_counts() -> None:
    figures = compare(ledger(*WRITES), ["a", "a", "c", "x"]).figures
    assert (figures.acknowledged_writes, figures.lost, figures.duplicated) == (2, 1, 1)
    assert (figures.unacknowledged_but_present, figures.unknown) == (1, 1)


def test_read_back_binds_run_and_prefix() -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def query(sql: str, values: Mapping[str, str]) -> Iterable[str]:
        asked.append((sql, values))
        return ["one", "one"]

    assert read_back(ReadBack(sql="SELECT"), run="r1", query=query) == ["one", "one"]
    assert asked == [("SELECT", {"run": "r1", "prefix": id_prefix("r1")})]


def test_no_run_has_ids_of_another() -> None:
    assert not write_id("drill1", 5).startswith(id_prefix("drill"))
    assert write_id("drill", 5).startswith(id_prefix("drill"))
