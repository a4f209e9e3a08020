"""A site of a real fleet without some of its laws, for negative controls: what a drill would find must be there."""

from __future__ import annotations

import json
import os
import signal
import time

from failover.errors import FailoverError
from tests.e2e.crash_points import agent_pid
from tests.e2e.harness import LocalFleet
from tests.e2e.test_fleet import pids

WEB = ("web-1", "web-2")
# Writes wait for ever at a site that is cut off, each with a connection: of the app's usual five none would be left
# for a read, and a fence that is not there would hide behind that. Two processes, below PostgreSQL's 120.
_POOL = "45"


def without_read_fence(fleet: LocalFleet, site: str) -> None:
    """The site's gate never asks how old its evidence is, and doubts nobody (E1). ``deploy`` gives the laws back."""
    file = fleet.host_dir(site) / "spec.json"
    spec = json.loads(file.read_text())
    for service in spec["services"]:
        if service["name"] in WEB:
            service["environment"]["APP_POOL_MAX"] = _POOL
    file.write_text(json.dumps({**spec, "fresh_s": 1e6, "probe_failures": 1_000_000}))
    start_anew(fleet, site)


def start_anew(fleet: LocalFleet, site: str) -> None:
    """The site's agent and the app's processes are new ones, and read what lies on its disk."""
    before, agent = pids(fleet, site), agent_pid(fleet, site)
    # Sessions of old have the old settings.
    for name in WEB:
        os.kill(before[name], signal.SIGKILL)
    os.kill(agent, signal.SIGKILL)
    end = time.monotonic() + 60
    while not _came_back(fleet, site, agent=agent, before=before):
        assert time.monotonic() < end, "the site did not come back"
        time.sleep(0.1)
    fleet.wait_protected()


def _came_back(fleet: LocalFleet, site: str, *, agent: int, before: dict[str, int]) -> bool:
    if agent_pid(fleet, site) == agent:
        return False
    try:
        now = pids(fleet, site)
    except FailoverError:  # the new agent does not answer yet
        return False
    return 0 not in now.values() and all(now[name] != before[name] for name in WEB)
