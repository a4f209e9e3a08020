"""A command that people wait for loads nothing heavy: seen from the modules themselves, never from a clock."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.tree import ROOT

HEAVY = {
    "pulumi",
    "psycopg",
    "psycopg_pool",
    "boto3",
    "botocore",
    "google",
    "hcloud",
    "obstore",
    "octodns",
    "matplotlib",
    "numpy",
}
RUN = """
import runpy, sys
sys.argv = {argv!r}
try:
    runpy.run_module("failover", run_name="__main__", alter_sys=True)
except SystemExit as stop:
    status = stop.code or 0
else:
    status = 0
print("\\nLOADED", status, *sorted({{name.partition(".")[0] for name in sys.modules}}))
"""


def loaded(code: str) -> tuple[str, set[str]]:
    """Exit status and top-level modules that a fresh interpreter holds after the code."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    _, status, *modules = done.stdout.splitlines()[-1].split()
    return status, set(modules)


@pytest.mark.parametrize("command", [["--help"], ["status", "--help"], ["check", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    status, modules = loaded(RUN.format(argv=["failover", *command]))
    assert status == "0"
    assert "failover" in modules
    assert not modules & HEAVY


def test_status_without_a_fleet_loads_nothing_heavy(tmp_path_factory: pytest.TempPathFactory) -> None:
    nowhere = tmp_path_factory.mktemp("nowhere") / "fleet.yaml"
    status, modules = loaded(RUN.format(argv=["failover", "--fleet", str(nowhere), "status"]))
    assert status == "2"
    assert not modules & HEAVY


def test_a_look_at_a_fleet_with_stores_loads_no_client_of_theirs(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("stores") / "fleet.yaml"
    status, _ = loaded(RUN.format(argv=["failover", "--fleet", str(path), "init", "--local", "--stores"]))
    assert status == "0"
    looks = "import sys, pathlib\nfrom failover.config.fleet import load_fleet\n"
    looks += "from failover.adapters.store_look import HttpStoreLook\nfrom failover.planner.check import judge\n"
    looks += f"for place in load_fleet(pathlib.Path({str(path)!r})).stores:\n"
    looks += "    assert HttpStoreLook().silence(place, deadline_s=1)\n"
    _, modules = loaded(looks + "print('LOADED', 0, *{name.partition('.')[0] for name in sys.modules})")
    assert not modules & HEAVY


def test_what_status_is_made_of_loads_nothing_heavy() -> None:
    code = "import sys, failover.operations.inspect, failover.cli.wiring\n"
    _, modules = loaded(code + "print('LOADED', 0, *{name.partition('.')[0] for name in sys.modules})")
    assert not modules & HEAVY
