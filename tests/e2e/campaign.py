"""A campaign of kills at random instants: whole providers, agents, databases, voters, services, the command itself.

Each falls on a fleet at rest, in the middle of a planned move, or in the middle of the recovery from the one before.
What must never be here: a verdict. Everything goes into the history, and its checker judges.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from failover.errors import FailoverError
from failover.operations.dead_side import DeadSideTrap
from failover.operations.drill_fault import LocalProvider
from failover.operations.wired import Wired
from tests.e2e.crash_points import agent_pid, settled
from tests.e2e.harness import SITES, LocalFleet
from tests.history.client import History, boot_s

DATA = ("alpha", "beta")
KINDS = {"site": 4, "database": 3, "agent": 3, "command": 2, "voter": 1, "app": 1, "haproxy": 1}
"""How often each is chosen, against the others."""
SETTLE_S = 120.0


@dataclass(slots=True, kw_only=True)
class Tally:
    """``recovered`` counts kills after which the fleet settled again, protected. ``calls``: to a data provider after it
    had died; those of a command that was at work there when it died are ``calls_of_the_cut_off``. Calls to a witness
    that had died are apart: its agent and its voter are the only doors at which its return can be seen. ``bad``: rounds
    after which it did not settle in time."""

    kills: Counter[str] = field(default_factory=Counter)
    recovered: int = 0
    calls: int = 0
    calls_of_the_cut_off: int = 0
    calls_to_a_witness: int = 0
    log: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    @property
    def total(self) -> int:
        """Kills in all."""
        return sum(self.kills.values())


class Campaign:
    """``run`` once. A round after which the fleet does not recover is told, and the next one is played when it recovers
    later; what came after a fleet that never does would say nothing (``broken``)."""

    def __init__(self, fleet: LocalFleet, wired: Wired, history: History, *, seed: int) -> None:
        self._fleet = fleet
        self._wired = wired
        self._history = history
        self._chance = random.Random(seed)
        self._provider = LocalProvider(wired.fleet, wired.state_dir)
        self._away: tuple[str, DeadSideTrap] | None = None
        self._command: subprocess.Popen[str] | None = None
        self.broken = False
        self.tally = Tally()

    def run(self, kills: int, *, say: Callable[[str], None], bad: Callable[[], object]) -> Tally:
        """``kills`` of them, and the recovery from each. ``bad`` is called when a round went wrong, before anything
        else happens to the fleet."""
        while self.tally.total < kills and not self.broken:
            began, before = boot_s(), self.tally.total
            what: list[str] = []
            try:
                self._round(kills, what)
                missing = self._recover()
            except Exception as error:  # noqa: BLE001 - whatever it is, this round is bad, and the others are played
                missing = f"{type(error).__name__}: {error}"
            took_s = boot_s() - began
            if missing:
                self.tally.bad.append(f"after {', '.join(what)}: {missing}")
                say(f"{self.tally.total}/{kills} NOT RECOVERED {self.tally.bad[-1]}")
                bad()
                self.broken = not self._heals()
                continue
            self.tally.recovered += self.tally.total - before
            self.tally.slowest_s = max(self.tally.slowest_s, took_s)
            say(f"{self.tally.total}/{kills} {', '.join(what)}: settled after {took_s:.1f} s")
        return self.tally

    def _round(self, kills: int, what: list[str]) -> None:
        what.append(self._situation())
        while self.tally.total < kills and self._chance.random() < 0.45:
            # The recovery from the last one has begun, and not ended.
            time.sleep(self._chance.uniform(0.0, 2.5))
            what.append(self._kill("in a recovery"))

    def _heals(self) -> bool:
        """After a bad round: bring back what is away, end what runs, and give it more time than any round gets."""
        try:
            if self._away is not None:
                self._give_back()
            if self._command is not None:
                self._command.kill()
                self._command.communicate()
                self._command = None
            settled(self._wired, deadline_s=2 * SETTLE_S)
        except (AssertionError, FailoverError, OSError):
            return False
        self._history.add("recovered")
        return True

    def _situation(self) -> str:
        if self._chance.random() < 0.4:
            record = self._wired.record.read(deadline_s=5.0)
            assert record is not None
            to = "beta" if record.primary_site == "alpha" else "alpha"
            self._history.add("command", words=f"switchover --to {to}")
            self._command = self._fleet.start("switchover", "--to", to, "--yes")
            # Half a second is the interpreter's; the move itself is in what follows.
            time.sleep(self._chance.uniform(0.3, 2.0))
            return self._kill("in a move")
        time.sleep(self._chance.uniform(0.0, 0.5))
        return self._kill("at rest")

    def _kill(self, when: str) -> str:
        """One kill of something that can be killed now."""
        kind = self._chance.choices([*KINDS], [*KINDS.values()])[0]
        if kind == "site" and self._away is not None:
            kind = "database"
        if kind == "command" and (self._command is None or self._command.poll() is not None):
            kind = "agent"
        here = [site for site in SITES if self._away is None or site != self._away[0]]
        data = [site for site in here if site in DATA]
        site = self._chance.choice(data if kind in ("database", "app", "haproxy") else here)
        what = f"{kind} {site} {when}" if kind != "command" else f"command {when}"
        self._history.add("fault", what=what)
        if kind == "site":
            self._provider.kill(site)
            trap = DeadSideTrap(self._wired.fleet.site(site), refusals=self._provider.refusals(site))
            trap.arm()
            self._away = (site, trap)
        elif kind == "command":
            assert self._command is not None
            self._command.kill()
        else:
            self._kill_process(kind, site)
        self.tally.kills[kind] += 1
        return what

    def _kill_process(self, kind: str, site: str) -> None:
        """SIGKILL of one process; one that is not there now was killed before, and is on its way back."""
        host = self._fleet.host_dir(site)
        if kind == "agent":
            pids = [agent_pid(self._fleet, site)]
        elif kind == "database":
            file = host / "postgres" / "postmaster.pid"
            pids = [int(file.read_text().split("\n", 1)[0] or "0")] if file.exists() else []
        else:
            word = {"voter": "etcd", "app": "infra.app", "haproxy": "haproxy"}[kind]
            running = self._fleet.processes().get(site, set())
            pids = [pid for pid in running if word in _command_line(pid)]
        for pid in pids:
            if str(host) in _command_line(pid) or kind in ("voter", "app", "haproxy"):
                os.kill(pid, signal.SIGKILL)

    def _recover(self) -> str:
        """The provider gives its site back, the command ends, a run that stopped is gone on with or left alone; then
        the fleet must settle. What is missing, or nothing."""
        if self._away is not None:
            time.sleep(self._chance.uniform(0.5, 2.5))
            self._give_back()
        self._end_command()
        try:
            settled(self._wired, deadline_s=SETTLE_S)
        except AssertionError as missing:
            return str(missing)
        self._history.add("recovered")
        return ""

    def _give_back(self) -> None:
        assert self._away is not None
        (site, trap), self._away = self._away, None
        dead = trap.close()
        # Only a command has the fleet file on its command line, and only a command has a child that speaks to a DNS
        # provider (no host holds such credentials). This process is the history's own eye on the record,
        # which asks whichever voter it asked last: no part of the fleet, as no client is.
        own = f"({_command_line(os.getpid()).strip()[:90]})"
        seen = [line for line in dead.log if not line.endswith(own)]
        told = [line for line in seen if f"{self._fleet.file}" in line or "dns_octodns_child" in line]
        self.tally.calls_of_the_cut_off += len(told)
        if site in DATA:
            # The log is cut off at some length, the count is not.
            self.tally.calls += dead.calls - len(told) - (len(dead.log) - len(seen))
            self.tally.log += [line for line in seen if line not in told]
        else:
            self.tally.calls_to_a_witness += dead.calls - len(told)
        self._history.add("back", site=site, calls=dead.calls, calls_of_the_cut_off=len(told))
        self._provider.give_back(site)

    def _end_command(self) -> None:
        command, self._command = self._command, None
        if command is None:
            return
        _, said = command.communicate(timeout=120)
        self._history.add("ended", status=command.returncode)
        run = self._wired.journal.runs()[0]
        unfinished = command.returncode == 6 or (command.returncode < 0 and run.state == "running")
        if unfinished and self._chance.random() < 0.6:
            ran = self._fleet.run("resume", run.run, status=None)
            self._history.add("command", words=f"resume {run.run}", status=ran.status)
        elif command.returncode in (1, 2):  # a bug, or a command that was never right; all else is an answer
            raise AssertionError(f"a switchover ended with {command.returncode}: {said[-800:]}")


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
