"""What a provider does to one of its sites, on the local fleet: switch it off at one instant, or give it back.

*kill*: every process of the site dies, its folder cannot be reached any more, and its API refuses us. Nothing of ours
is asked to help, and nothing at the site gets a chance to say goodbye.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from failover.agent.supervise import host_processes, stop_host
from failover.errors import Refused, Unreachable
from failover.model.fleet import Fleet, Site


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """``begun_s`` and ``complete_s`` (CLOCK_BOOTTIME): the first signal, and when the last process was dead."""

    begun_s: float
    complete_s: float
    processes: int


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LocalProvider:
    """The providers of a local fleet as an enemy. ``state_dir`` is the fleet's ``.failover``."""

    def __init__(self, fleet: Fleet, state_dir: Path) -> None:
        self._fleet = fleet
        self._sites = state_dir / "sites"
        self._gone = state_dir / "suspended"

    def require_local(self, site: Site) -> None:
        """Drills on real providers are not for this class."""
        if site.kind != "local":
            what = f"{site.name} is at a real provider: only local sites can be killed"
            raise Refused(what, hint="failover drill switchover")

    def suspended(self, site: str) -> bool:
        """The provider has switched this site off."""
        return (self._gone / site).exists()

    def refusals(self, site: str) -> Path:
        """Where the provider's API writes down whom it refused."""
        return self._gone / f"{site}.refused"

    def kill(self, site: str) -> Fault:
        """Switch it off. Raises ``Refused`` when it is off already."""
        self.require_local(self._fleet.site(site))
        host_dir = self._sites / site
        if self.suspended(site) or not host_dir.exists():
            raise Refused(f"{site} is not running", hint=f"failover drill return {site}")
        self._gone.mkdir(mode=0o700, exist_ok=True)
        self.refusals(site).unlink(missing_ok=True)
        victims = host_processes(host_dir)
        begun_s = _boot_s()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in victims:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
        killed = len(victims) + stop_host(host_dir)
        # Renamed, not only made unreadable: we may be root, whom no mode stops.
        host_dir.rename(self._gone / site)
        (self._gone / site).chmod(0)
        return Fault(begun_s=begun_s, complete_s=_boot_s(), processes=killed)

    def give_back(self, site: str) -> None:
        """The account works again and the machine boots with the disk it had."""
        self.require_local(self._fleet.site(site))
        if not self.suspended(site):
            raise Refused(f"{site} was not taken away", hint="failover status")
        host_dir = self._sites / site
        (self._gone / site).chmod(0o700)
        (self._gone / site).rename(host_dir)
        self.refusals(site).unlink(missing_ok=True)
        with (host_dir / "log" / "supervise.log").open("ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", "failover.agent.supervise", "--host-dir", str(host_dir)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        end = _boot_s() + 10.0
        while not (host_dir / "run" / "supervise.json").exists() or not host_processes(host_dir):
            if _boot_s() > end:
                raise Unreachable(f"the host of {site} does not boot", where=str(host_dir / "log" / "supervise.log"))
            time.sleep(0.02)
