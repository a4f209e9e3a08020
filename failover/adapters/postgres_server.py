"""The server process on one data directory: find it, start it, stop it. Nothing here knows about roles."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from pathlib import Path

from failover import kernel
from failover.adapters.postgres_files import PostgresFiles
from failover.errors import Unreachable
from failover.ports.processes import Handle, Processes

_START_S = 20.0
_NICE = -5  # before the app's own processes, behind the keeper and the record
_STATUS_LINE = 7  # of postmaster.pid: "ready" once connections are taken, "standby" when it takes none yet


def boot_s() -> float:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def postmaster(data: Path, processes: Processes) -> Handle | None:
    """The process that runs on exactly this data directory, or ``None``: a pid in a file may be anybody's by now."""
    try:
        pid = int((data / "postmaster.pid").read_text().split("\n", 1)[0])
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
    found = processes.adopt(pid) if str(data).encode() in arguments.split(b"\0") else None
    return found if found is not None and processes.alive(found) else None


class PostgresServer:
    """At most one postmaster on ``files.data``; only the keeper calls this (safety C3)."""

    def __init__(self, files: PostgresFiles, processes: Processes) -> None:
        self._files = files
        self._processes = processes
        self._hasty_until_s = 0.0

    def handle(self) -> Handle | None:
        """The running postmaster of this very data directory, or ``None``."""
        return postmaster(self._files.data, self._processes)

    async def start(self) -> None:
        """Start and wait until connections are taken. Kill -9 leaves backends and shared memory behind: reap and try
        again (safety F3)."""
        files = self._files
        files.write_fixed()
        for attempt in range(4):
            if attempt or (files.data / "postmaster.pid").exists():
                self._kill_strays()
                self._forget_dead_postmaster()
            command = ["postgres", "-D", str(files.data), "-c", f"config_file={files.config}"]
            command += ["-c", f"hba_file={files.access}"]
            handle = self._processes.start(
                command, environment={"LC_ALL": "C"}, log=files.log, as_database=True, nice=_NICE
            )
            if boot_s() < self._hasty_until_s:
                kernel.hurry(kernel.EARLY, handle.pid)
            if await self._await_ready(handle):
                return
            await asyncio.sleep(0.1 * (attempt + 1))
        raise Unreachable("PostgreSQL does not start", hint=f"its own words are in {files.log}")

    async def _await_ready(self, handle: Handle) -> bool:
        end = boot_s() + _START_S
        path = self._files.data / "postmaster.pid"
        while boot_s() < end:
            with contextlib.suppress(FileNotFoundError):
                lines = path.read_text().split("\n")
                status = lines[_STATUS_LINE].strip() if len(lines) > _STATUS_LINE else ""
                if lines[0] == str(handle.pid) and status in ("ready", "standby"):
                    return True
            if not self._processes.alive(handle):
                return False
            await asyncio.sleep(0.005)
        await asyncio.to_thread(self._processes.stop, handle, number=signal.SIGQUIT, timeout_s=2.0)
        return False

    def hasten(self, seconds: float) -> None:
        """Before the app for so long. An agent that takes over calls it with 0: its predecessor may have died hasty."""
        self._hasty_until_s = boot_s() + seconds
        handle = self.handle()
        if handle is not None and seconds:
            for pid in kernel.family(handle.pid):
                kernel.hurry(kernel.EARLY, pid)
        asyncio.get_running_loop().call_later(seconds, self._calm_down)

    def _calm_down(self) -> None:
        handle = self.handle()
        if handle is not None and boot_s() >= self._hasty_until_s:
            for pid in kernel.family(handle.pid):
                kernel.ordinary(pid)

    def _kill_strays(self) -> None:
        """Backends of a killed postmaster work in the data directory; the next start refuses beside them."""
        for entry in os.scandir("/proc"):
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                    if os.readlink(f"{entry.path}/cwd") == str(self._files.data):
                        os.kill(int(entry.name), signal.SIGKILL)

    def _forget_dead_postmaster(self) -> None:
        """PostgreSQL takes a zombie for a running postmaster, and who should reap it may never do so (safety E4). Its
        backends are gone by now, and this keeper holds the directory's lock."""
        path = self._files.data / "postmaster.pid"
        with contextlib.suppress(FileNotFoundError, ValueError):
            if self._processes.adopt(int(path.read_text().split("\n", 1)[0])) is None:
                path.unlink()

    async def stop(self, *, clean: bool, budget_s: float) -> bool:
        """Fast or immediate shutdown; ``False``: it had to be killed after ``budget_s``."""
        handle = self.handle()
        if handle is None:
            return True
        number = signal.SIGINT if clean else signal.SIGQUIT
        return await asyncio.to_thread(self._processes.stop, handle, number=number, timeout_s=budget_s)

    def reload(self) -> None:
        """Read the configuration again."""
        handle = self.handle()
        if handle is not None:
            self._processes.signal(handle, signal.SIGHUP)

    async def program(self, *command: str, stdin: bytes = b"", deadline_s: float = 600.0) -> str:
        """Run one of PostgreSQL's programs; raises ``Unreachable`` with its words when it fails."""
        files = self._files
        environment = {"LC_ALL": "C", "PGPASSFILE": str(files.passfile), "PGAPPNAME": f"seed_{files.site}"}
        done = await asyncio.to_thread(
            self._processes.run,
            command,
            environment=environment,
            deadline_s=deadline_s,
            as_database=True,
            stdin=stdin,
            nice=0,
        )
        if done.status != 0:
            raise Unreachable(f"{command[0]} ended with {done.status}: {done.output.strip()[-400:]}")
        return done.output

    async def look_at_files(self, *command: str, deadline_s: float = 60.0) -> str:
        """Run a program that only reads files (pg_controldata, pg_waldump) and return what it said, whatever its
        status: pg_waldump ends with 1 where the WAL ends."""
        done = await asyncio.to_thread(self._processes.run, command, environment={"LC_ALL": "C"}, deadline_s=deadline_s)
        return done.output
