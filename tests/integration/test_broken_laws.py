"""Negative controls: each law switched off in real parts is reported by checker or auditor, and none while it is kept.

A few here; all of them with ``-m long``, or by ``script/bench broken-laws``.
"""

from __future__ import annotations

import pytest

from tests.laws.cases import CASES
from tests.laws.law import Case, Court

HANDFUL = {"duplicate-without-wal", "clone-under-the-members-name", "stale-read", "hold-signed-by-a-host"}


@pytest.fixture(scope="module")
def court(tmp_path_factory: pytest.TempPathFactory) -> Court:
    return Court(tmp_path_factory.mktemp("laws"))


def told(case: Case) -> object:
    """As a parameter: named, and long unless it is one of the handful."""
    marks = () if case.id in HANDFUL else (pytest.mark.long,)
    return pytest.param(case, id=f"{case.law}-{case.id}", marks=marks)


@pytest.mark.timeout(360)
@pytest.mark.parametrize("case", [told(case) for case in CASES])
def test_a_broken_law_is_reported_and_a_kept_one_is_quiet(case: Case, court: Court) -> None:
    assert court.tell(case, kept=True) == []
    assert court.tell(case, kept=False), f"nothing was reported with this off: {case.broken}"


def test_there_are_enough_and_the_handful_is_among_them() -> None:
    assert len(CASES) >= 24
    assert {case.id for case in CASES} >= HANDFUL
    assert {case.law[0] for case in CASES} == set("ABCDEFG")
