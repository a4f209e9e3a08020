"""Runs single services of a HostSpec as an agent would: files written, ``{host}`` filled in, programs found by name.

Ends every process it started, by pid, frozen or not.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from failover.adapters.programs import command_line
from failover.model.spec import HostSpec, ServiceSpec


class RunningHost:
    """One host's folder with the services started so far."""

    def __init__(self, folder: Path, spec: HostSpec) -> None:
        self.folder = folder
        self.spec = spec
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        for name in ("run", "log"):
            (folder / name).mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> RunningHost:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self.processes):
            self.kill(name)

    def service(self, name: str) -> ServiceSpec:
        return next(service for service in self.spec.services if service.name == name)

    def start(self, name: str, *, ready: bool = True) -> None:
        """Start a service; with ``ready`` wait until it accepts where its spec says."""
        service = self.service(name)
        for file in service.files:
            path = self.folder / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=file.mode)
            path.write_text(self._filled(file.text), encoding="utf-8")
        command, extra = command_line(tuple(self._filled(word) for word in service.command), as_database=False)
        environment = {**os.environ, **extra, **{k: self._filled(v) for k, v in service.environment.items()}}
        with (self.folder / "log" / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        if ready and service.ready is not None:
            address = (service.ready.address, service.ready.port)
            wait_for(lambda: accepts(*address) or self.processes[name].poll() is not None)
            assert self.processes[name].poll() is None, self.log(name)

    def log(self, name: str) -> str:
        return (self.folder / "log" / f"{name}.log").read_text(errors="replace")

    def signal(self, name: str, number: signal.Signals) -> None:
        self.processes[name].send_signal(number)

    def kill(self, name: str) -> None:
        """SIGKILL and reap; repeatable."""
        process = self.processes.pop(name, None)
        if process is not None:
            process.kill()
            process.wait(timeout=10)

    def _filled(self, text: str) -> str:
        return text.replace("{host}", str(self.folder))


def accepts(address: str, port: int) -> bool:
    """True when something listens there."""
    with socket.socket() as probe:
        probe.settimeout(0.3)
        return probe.connect_ex((address, port)) == 0


def wait_for(arrived: Callable[[], object], *, within_s: float = 10.0) -> None:
    """Ask again every 10 ms until it is so; fails after ``within_s``."""
    end = time.monotonic() + within_s
    while not arrived():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.01)
