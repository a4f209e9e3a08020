"""Lint and types as one test each, so that a plain pytest run says what script/test says."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.tree import ROOT


@pytest.mark.parametrize(
    "check", [["ruff", "check", "--quiet", "."], ["mypy", "--no-error-summary"]], ids=["ruff", "mypy"]
)
@pytest.mark.timeout(300)
def test_clean(check: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", *check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nothing_is_waved_through_for_a_whole_file() -> None:
    """A blanket ``type: ignore`` or ``noqa`` hides what comes later; each exception names its rule."""
    blanket = ["# type: " + "ignore\n", "# no" + "qa\n", "# ruff: no" + "qa\n", "# mypy: ignore" + "-errors"]
    found = [
        f"{path}: {mark.strip()}"
        for path in ROOT.glob("failover/**/*.py")
        for mark in blanket
        if mark in path.read_text(encoding="utf-8")
    ]
    assert not found
