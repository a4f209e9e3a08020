"""The exit statuses scripts rely on: README.md and failover/errors.py say the same."""

from __future__ import annotations

import re

from failover import errors
from failover.errors import Exit, FailoverError
from tests.house.tree import ROOT

ROW = re.compile(r"^\| *(\d+) *\| *(\S.*?) *\|$", re.MULTILINE)


def table() -> dict[int, str]:
    """The rows of README's table whose head is ``status``; each status once."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    _, found, rest = readme.partition("| status |")
    assert found, "README.md has no table with a column 'status'"
    rows = ROW.findall(rest.partition("\n\n")[0])
    assert len(rows) == len({status for status, _ in rows}), "a status appears twice"
    return {int(status): meaning for status, meaning in rows}


def test_readme_lists_exactly_the_statuses_that_exist() -> None:
    assert sorted(table()) == sorted(Exit)


def known() -> list[type[FailoverError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FailoverError)]


def test_each_error_has_a_code_of_its_own() -> None:
    codes = [kind.code for kind in known()]
    assert len(codes) > 5
    assert len(codes) == len(set(codes)), codes
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", code) for code in codes)


def test_known_errors_never_look_like_success() -> None:
    assert all(kind.exit_status in Exit and kind.exit_status != Exit.DONE for kind in known())
