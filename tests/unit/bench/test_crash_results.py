"""A run of crash points that was stopped goes on where it was, and counts nothing that was not compared."""

from __future__ import annotations

from pathlib import Path

from tests.bench.crash_results import Results, sound
from tests.e2e.crash_points import Point, Told

FIRST, SECOND = (
    Point(verb="switchover", at=f"{step}/sent", victims="cli", then="resume", committing=-1)
    for step in ("claim", "hold")
)


def told(point: Point, *wrong: str) -> Told:
    return Told(point=point, reached=True, statuses=[-9, 0], seconds=2.5, wrong=list(wrong))


def test_a_point_counts_once_the_ledger_beside_it_was_compared(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.put_points((FIRST, SECOND))
    assert results.points() == [FIRST, SECOND]
    results.told(0, told(FIRST), stretch="a")
    results.told(1, told(SECOND), stretch="b")
    assert results.known() == {}
    results.compared(1, "b", acknowledged=9, lost=["x"], duplicated=[], unknown=[])
    assert set(results.known()) == {str(SECOND)} == results.passed()
    assert not sound(results.loads()[0])


def test_the_last_word_on_a_point_holds_and_a_line_cut_off_is_none(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.told(0, told(FIRST, "it does not settle"), stretch="")
    assert results.passed() == set()
    results.told(0, told(FIRST), stretch="")
    with (tmp_path / "lane-0.jsonl").open("a") as file:
        file.write('{"point": "half a li')
    assert results.passed() == {str(FIRST)}


def test_a_point_is_taken_by_one_lane_and_free_again_in_the_next_run(tmp_path: Path) -> None:
    results = Results(tmp_path)
    assert (results.claim(7), results.claim(7), results.claimed()) == (True, False, {7})
    results.forget_claims()
    assert results.claim(7)
