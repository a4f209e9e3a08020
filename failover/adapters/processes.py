"""Detached processes of a local host. A process is known by pid and start time; everything below it is found in /proc.

Services outlive the agent on purpose: a new agent adopts them and bounces nothing.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from failover import kernel
from failover.adapters.programs import command_line
from failover.errors import Unreachable
from failover.ports.processes import Finished, Handle

_AS_URGENT = -10
_OUTPUT_LIMIT = 200_000
_PASSED_ON = (
    "PATH", "HOME", "LANG", "TZ", "TMPDIR", "PYTHONPATH", "LD_LIBRARY_PATH",
    "LD_PRELOAD", "FAILOVER_CLOCK_FILE",  # a site that was started under a bent clock (``operations/drill_clock``)
)  # fmt: skip


def start_ticks(pid: int) -> int | None:
    """Start time of a live process in clock ticks since boot; ``None`` when it is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rsplit(")", 1)[1].split()
    return None if fields[0] in "ZX" else int(fields[19])


def children_by_parent() -> dict[int, list[int]]:
    """Every parent's children right now."""
    tree: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            text = Path(entry.path, "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        tree.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(entry.name))
    return tree


def descendants(pid: int) -> Iterator[int]:
    """All processes below ``pid``: backends call setsid, so neither group nor session would find them."""
    tree = children_by_parent()
    queue = list(tree.get(pid, ()))
    while queue:
        current = queue.pop()
        yield current
        queue.extend(tree.get(current, ()))


def kill_tree(pid: int) -> None:
    """Stop everything first so that nothing forks away, then kill. Silent about what is gone already."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for victim in [pid, *descendants(pid)]:
            try:
                os.kill(victim, number)
            except ProcessLookupError:
                continue


class DetachedProcesses:
    """Implements ``ports.processes.Processes`` with plain processes."""

    def start(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        as_database: bool = False,
        nice: int = 0,
    ) -> Handle:
        arguments, extra = command_line(tuple(command), as_database=as_database)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output, _born(nice):
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment(environment, extra),
                start_new_session=True,
                close_fds=True,
            )
        _settle(process.pid, nice)
        handle = self.adopt(process.pid)
        # Popen's own destructor would complain about a child it never waited for; alive() reaps by pid instead.
        process.returncode = 0
        if handle is None:
            return Handle(pid=process.pid, start_ticks=0)
        return handle

    def run(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        deadline_s: float,
        as_database: bool = False,
        stdin: bytes = b"",
        nice: int | None = None,
    ) -> Finished:
        arguments, extra = command_line(tuple(command), as_database=as_database)
        with _born(nice):
            process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment(environment, extra),
                start_new_session=True,
            )
        if nice is not None:
            _settle(process.pid, nice)
        try:
            output, _ = process.communicate(input=stdin, timeout=deadline_s)
        except subprocess.TimeoutExpired as error:
            kill_tree(process.pid)
            process.communicate()
            raise Unreachable(f"{command[0]} did not end within {deadline_s:.0f} s") from error
        except BaseException:
            kill_tree(process.pid)
            process.wait()
            raise
        return Finished(status=process.returncode, output=output[-_OUTPUT_LIMIT:].decode(errors="replace"))

    def adopt(self, pid: int) -> Handle | None:
        ticks = start_ticks(pid)
        return None if ticks is None else Handle(pid=pid, start_ticks=ticks)

    def alive(self, handle: Handle) -> bool:
        # Not our child when it was adopted from an earlier agent: its new parent reaps it.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(handle.pid, os.WNOHANG)
        return handle.start_ticks != 0 and start_ticks(handle.pid) == handle.start_ticks

    def signal(self, handle: Handle, number: int) -> bool:
        if not self.alive(handle):
            return False
        try:
            os.kill(handle.pid, number)
        except ProcessLookupError:
            return False
        return True

    def stop(self, handle: Handle, *, number: int, timeout_s: float) -> bool:
        # The signal first: reading all of /proc on a busy machine would come on top of the stop.
        if not self.signal(handle, number):
            return True
        if self._ended_within(handle, timeout_s):
            return True
        below = list(descendants(handle.pid))
        kill_tree(handle.pid)
        self._await_gone([handle.pid, *below])
        return False

    def _ended_within(self, handle: Handle, timeout_s: float) -> bool:
        """Woken by the kernel when it ends: polling would add its own pause to every pause of a move."""
        try:
            descriptor = os.pidfd_open(handle.pid)
        except ProcessLookupError:
            return True
        try:
            poller = select.poll()
            poller.register(descriptor, select.POLLIN)
            ended = bool(poller.poll(timeout_s * 1000))
        finally:
            os.close(descriptor)
        return not self.alive(handle) or ended

    def _await_gone(self, pids: Sequence[int]) -> None:
        end = time.clock_gettime(time.CLOCK_BOOTTIME) + 2.0
        while time.clock_gettime(time.CLOCK_BOOTTIME) < end:
            for pid in pids:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    continue
            if all(start_ticks(pid) is None for pid in pids):
                return
            time.sleep(0.005)

    def _environment(self, wanted: Mapping[str, str], extra: Mapping[str, str]) -> dict[str, str]:
        passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        return {**passed, **extra, **wanted}


def _born(nice: int | None) -> AbstractContextManager[None]:
    """Without our own urgency, unless it is to be as urgent as we are: the record, which a move waits for, and what
    runs for us (``None``)."""
    urgent = nice is None or nice <= _AS_URGENT
    return contextlib.nullcontext() if urgent else kernel.calm_children()


def _settle(pid: int, nice: int) -> None:
    """The nice value it is to have. Only ever upwards: less nice than we are may not be had."""
    if nice > _AS_URGENT and nice >= os.getpriority(os.PRIO_PROCESS, 0):
        with contextlib.suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, pid, nice)
