"""The scripts people and CI start: they parse, are executable, and CI runs exactly what a person runs."""

from __future__ import annotations

import importlib
import os
import subprocess
import tomllib

import pytest

from tests.house.tree import ROOT, files

SHELL = [str(path) for path in files() if (ROOT / path).read_bytes().startswith(b"#!/usr/bin/env bash")]


def test_all_scripts_are_seen() -> None:
    assert {"script/bootstrap", "script/demo", "script/test", "script/bench", ".ci/run"} <= {*SHELL}


@pytest.mark.parametrize("name", SHELL)
def test_script_parses_and_may_be_started(name: str) -> None:
    assert os.access(ROOT / name, os.X_OK)
    subprocess.run(["bash", "-n", ROOT / name], check=True)


def test_ci_calls_script_test_and_nothing_else() -> None:
    code = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line and not line.startswith("#")]
    assert code == ['exec "$(dirname "${BASH_SOURCE[0]}")/../script/test"']


def test_the_console_script_exists() -> None:
    entry = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["failover"]
    module, _, function = entry.partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_contain_ends_what_a_command_left_behind() -> None:
    """A detached grandchild is found and ended, and makes the run fail."""
    command = ["python3", "script/contain.py", "sh", "-c", "setsid sleep 300 & echo started"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "sleep 300" in done.stderr
    clean = subprocess.run(["python3", "script/contain.py", "sh", "-c", "exit 3"], cwd=ROOT, timeout=30, check=False)
    assert clean.returncode == 3
