"""An agent is upgraded by ending it: the next one adopts what runs, and both versions work side by side."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from failover.model.version import VERSION
from tests.e2e.crash_points import agent_pid
from tests.e2e.harness import ROOT, LocalFleet
from tests.e2e.test_fleet import pids

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(240)]
LATER = "99.0.0"


def release(folder: Path) -> Path:
    """This code as a later version."""
    shutil.copytree(ROOT / "failover", folder / "failover", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "infra", folder / "infra", ignore=shutil.ignore_patterns("__pycache__"))
    path = folder / "failover" / "model" / "version.py"
    text = path.read_text()
    assert f'"{VERSION}"' in text
    path.write_text(text.replace(f'"{VERSION}"', f'"{LATER}"'))
    return folder


def versions(fleet: LocalFleet) -> dict[str, str]:
    return {site["name"]: site["version"] for site in fleet.status()["sites"]}


def restart(fleet: LocalFleet, site: str, version: str) -> None:
    """End the agent; its supervisor starts what is installed now."""
    before = agent_pid(fleet, site)
    os.kill(before, signal.SIGKILL)
    end = time.monotonic() + 60
    while agent_pid(fleet, site) == before or versions(fleet)[site] != version:
        assert time.monotonic() < end, f"{site} does not run {version}: {versions(fleet)}"
        time.sleep(0.2)


def test_an_upgrade_bounces_nothing_and_two_versions_work_together(protected: LocalFleet, tmp_path: Path) -> None:
    later = release(tmp_path)
    running = {site: pids(protected, site) for site in ("alpha", "beta")}
    try:
        for site in ("beta", "alpha"):
            (protected.host_dir(site) / "release").write_text(str(later))
            restart(protected, site, LATER)
            protected.wait_protected()
            assert {name: pids(protected, name) for name in running} == running, f"{site}: something was started anew"
            codes = {one["code"] for one in protected.status()["findings"]}
            assert "versions-differ" in codes
        # gamma still runs the old one: its opinion and its voter carry the move.
        assert sorted(versions(protected).values()) == sorted([LATER, LATER, VERSION])
        primary = protected.status()["record"]["primary"].split("_")[0]
        protected.run("switchover", "--to", "beta" if primary == "alpha" else "alpha", "--yes")
        protected.wait_protected()
    finally:
        for site in ("alpha", "beta"):
            (protected.host_dir(site) / "release").unlink(missing_ok=True)
            restart(protected, site, VERSION)
    assert "versions-differ" not in {one["code"] for one in protected.status()["findings"]}
