"""What a provider does to one of its sites, on the local fleet: switch it off at one instant, or give it back.

*kill*: every process of the site dies, its folder cannot be reached any more, and its API refuses us. *freeze*: every
process stops where it is. Nothing of ours is asked to help, and nothing at the site gets a chance to say goodbye.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from failover.agent.supervise import host_processes, stop_host
from failover.errors import Refused, Unreachable
from failover.model.fleet import Fleet, Site
from failover.trust.ca import write_private


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """``begun_s`` and ``complete_s`` (CLOCK_BOOTTIME): the first signal, and when the last process was dead."""

    begun_s: float
    complete_s: float
    processes: int


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _signal_all(pids: Iterable[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _runs(pid: int) -> bool:
    """It is neither stopped nor gone: a signal takes a moment to arrive."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "TtZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _agent_pid(host_dir: Path) -> int:
    text = (host_dir / "run" / "agent.lock").read_text()
    return int(text) if text else 0


def _supervisor_pid(host_dir: Path) -> int:
    return int(json.loads((host_dir / "run" / "supervise.json").read_text())["pid"])


class LocalProvider:
    """The providers of a local fleet as an enemy. ``state_dir`` is the fleet's ``.failover``."""

    def __init__(self, fleet: Fleet, state_dir: Path) -> None:
        self._fleet = fleet
        self._sites = state_dir / "sites"
        self._gone = state_dir / "suspended"
        self._frozen = state_dir / "frozen"
        self._full = state_dir / "full"
        self._images = state_dir / "images"

    def require_local(self, site: Site) -> None:
        """Drills on real providers are not for this class."""
        if site.kind != "local":
            what = f"{site.name} is at a real provider: only local sites can be killed"
            raise Refused(what, hint="failover drill switchover")

    def suspended(self, site: str) -> bool:
        """The provider has switched this site off."""
        return (self._gone / site).is_dir()

    def harmed(self, site: str) -> bool:
        """It runs, but its provider's API refuses us or its disk is full."""
        return (self._gone / site).is_file() or (self._full / site).exists()

    def refuse(self, site: str) -> None:
        """The account is suspended, and nothing happens to what runs. Raises ``Refused`` when it does not run."""
        self._require_running(site)
        self._gone.mkdir(mode=0o700, exist_ok=True)
        self.refusals(site).unlink(missing_ok=True)
        (self._gone / site).touch(mode=0o600)

    def fill_disk(self, site: str) -> None:
        """Every write to a file fails from now on, in what the site starts later too: a limit on the size of files
        stands for a full disk, which fails the same calls with another number."""
        self._require_running(site)
        self._full.mkdir(mode=0o700, exist_ok=True)
        (self._full / site).touch(mode=0o600)
        self._limit_files(site, 0)

    def image(self, site: str) -> None:
        """Keep the database's disk as it is at one instant, as a provider's snapshot of a running machine does."""
        self._require_running(site)
        host_dir, kept = self._sites / site, self._images / site
        self._images.mkdir(mode=0o700, exist_ok=True)
        shutil.rmtree(kept, ignore_errors=True)
        stopped = host_processes(host_dir)
        _signal_all(stopped, signal.SIGSTOP)
        try:
            subprocess.run(["cp", "-a", str(host_dir / "postgres"), str(kept)], check=True, timeout=30)
        finally:
            _signal_all(stopped, signal.SIGCONT)

    def roll_back(self, site: str) -> Fault:
        """The machine dies and boots again with the disk it had at ``image``."""
        fault = self.kill(site)
        gone = self._gone / site
        gone.chmod(0o700)
        shutil.rmtree(gone / "postgres")
        (self._images / site).rename(gone / "postgres")
        self.give_back(site)
        return fault

    def make_good(self, site: str) -> None:
        """Take ``refuse`` and ``fill_disk`` back."""
        if (self._gone / site).is_file():
            (self._gone / site).unlink()
            self.refusals(site).unlink(missing_ok=True)
        if (self._full / site).exists():
            self._limit_files(site, resource.RLIM_INFINITY)
            (self._full / site).unlink()

    def _limit_files(self, site: str, limit_bytes: int) -> None:
        """Of every process of the site; again until nothing is new, because a child inherits its parent's limit."""
        done: set[int] = set()
        while pids := host_processes(self._sites / site) - done:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    _soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                    resource.prlimit(pid, resource.RLIMIT_FSIZE, (limit_bytes, hard))
            done |= pids

    def agent_pid(self, site: str) -> int:
        """The site's agent."""
        return _agent_pid(self._sites / site)

    def refusals(self, site: str) -> Path:
        """Where the provider's API writes down whom it refused."""
        return self._gone / f"{site}.refused"

    def frozen(self, site: str) -> bool:
        """The provider has paused this site."""
        return (self._frozen / site).exists()

    def away(self, site: str) -> bool:
        """Nobody there can answer: switched off or paused."""
        return self.suspended(site) or self.frozen(site)

    def freeze(self, site: str, *, note: Mapping[str, str]) -> Fault:
        """Pause it. ``note`` is kept for whoever wakes it. Raises ``Refused`` when it does not run."""
        self._require_running(site)
        self._frozen.mkdir(mode=0o700, exist_ok=True)
        host_dir, stopped = self._sites / site, set[int]()
        begun_s = _boot_s()
        # Again until nothing is new: a process that forks between look and signal would stay awake.
        while victims := host_processes(host_dir) - stopped:
            _signal_all(victims, signal.SIGSTOP)
            stopped |= victims
        while any(_runs(pid) for pid in stopped):
            time.sleep(0.001)
        fault = Fault(begun_s=begun_s, complete_s=_boot_s(), processes=len(stopped))
        write_private(self._frozen / site, msgspec.json.encode(dict(note)).decode())
        return fault

    def frozen_note(self, site: str) -> dict[str, str]:
        """What ``freeze`` was told to keep."""
        return msgspec.json.decode((self._frozen / site).read_bytes(), type=dict[str, str])

    def wake(self, site: str, *, agent_last_s: float) -> None:
        """Everything goes on at once, but for the agent and its supervisor: they wake so much later."""
        if not self.frozen(site):
            raise Refused(f"{site} was not frozen", hint="failover status")
        host_dir = self._sites / site
        everything = host_processes(host_dir)
        late = {pid for pid in (_agent_pid(host_dir), _supervisor_pid(host_dir)) if pid} if agent_last_s else set()
        _signal_all(everything - late, signal.SIGCONT)
        time.sleep(agent_last_s)
        _signal_all(late | host_processes(host_dir), signal.SIGCONT)
        (self._frozen / site).unlink()

    def _require_running(self, site: str) -> None:
        self.require_local(self._fleet.site(site))
        if self.away(site) or not (self._sites / site).exists():
            raise Refused(f"{site} is not running", hint=f"failover drill return {site}")

    def kill(self, site: str) -> Fault:
        """Switch it off. Raises ``Refused`` when it is off already."""
        self._require_running(site)
        host_dir = self._sites / site
        self._gone.mkdir(mode=0o700, exist_ok=True)
        self.refusals(site).unlink(missing_ok=True)
        victims = host_processes(host_dir)
        begun_s = _boot_s()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            _signal_all(victims, number)
        killed = len(victims) + stop_host(host_dir)
        # Renamed, not only made unreadable: we may be root, whom no mode stops.
        host_dir.rename(self._gone / site)
        (self._gone / site).chmod(0)
        return Fault(begun_s=begun_s, complete_s=_boot_s(), processes=killed)

    def give_back(self, site: str, *, environment: Mapping[str, str] | None = None) -> None:
        """The account works again and the machine boots with the disk it had; ``environment`` goes to all it runs."""
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
                env={**os.environ, **(environment or {}), "PYTHONPATH": str(Path(__file__).parents[2])},
            )
        end = _boot_s() + 10.0
        while not (host_dir / "run" / "supervise.json").exists() or not host_processes(host_dir):
            if _boot_s() > end:
                raise Unreachable(f"the host of {site} does not boot", where=str(host_dir / "log" / "supervise.log"))
            time.sleep(0.02)
