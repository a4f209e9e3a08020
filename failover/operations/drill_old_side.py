"""Asks a side that must not serve any more, in a process of its own beside the load: see ``load/asker``."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from failover.errors import Unreachable
from failover.load.asked import Asked, AskRequest, Entered
from failover.load.workload_file import load_workload
from failover.model.fleet import Fleet, Site
from failover.operations.drill_scene import Scene

_ROOT = str(Path(__file__).parents[2])
_ENDS_WITHIN_S = 10.0
# Of a side that is cut off and runs: few writes, because each waits for ever there and keeps a connection of the app
# that reads would need.
ASKS_PER_S = 150.0
WRITE_EVERY = 200
_Line = Entered | Asked


def ask_request(scene: Scene, *, places: Sequence[str], values: Mapping[str, str]) -> AskRequest | None:
    """``None`` when the workload does not say how a stale read is known."""
    wired = scene.wired
    workload = load_workload(wired.fleet_path.parent / (wired.fleet.app.workload or "workload.yaml"))
    if workload.mark is None:
        return None
    return AskRequest(
        run=f"a{int(time.time()):x}_{scene.ask.seed}",
        workload=workload,
        target=f"http://{wired.fleet.dns.name}:{wired.fleet.data_sites[0].ports.edge}",
        dns_servers=tuple(f"{site.address}:{site.ports.dns}" for site in wired.fleet.dns_sites),
        places=tuple(places),
        values=dict(values),
    )


def doors(fleet: Fleet, site: Site) -> list[str]:
    """Where users, and those who get past the edge, reach the app at ``site``."""
    ports = [site.ports.edge, *(service.port for service in fleet.app.services if service.port)]
    return [f"http://{site.address}:{port}" for port in ports]


def enter(scene: Scene) -> dict[str, str]:
    """Make an account through the public name; what its log-in kept. Empty where stale reads cannot be known."""
    request = ask_request(scene, places=(), values={})
    if request is None:
        return {}
    with _Process(request, scene.gathered.folder) as process:
        line = process.line()
    if not isinstance(line, Entered):
        raise Unreachable("the asker could not log in", where=str(process.log))
    return line.values


class OldSideAsker:
    """Asks from entering (a first mark is acknowledged then) until ``stop``. Asks nobody where the workload does not
    say how a stale read is known; the drill's report then says that it was not measured."""

    def __init__(
        self, scene: Scene, site: Site, *, values: Mapping[str, str], per_s: float = 300.0, write_every: int = 3
    ) -> None:
        request = ask_request(scene, places=doors(scene.wired.fleet, site), values=values)
        if request is None or not values:
            scene.gathered.remarks.append("the old side was not asked: the workload does not say how (`mark`)")
            self._process = None
            return
        scene.gathered.asked_run = request.run
        request = msgspec.structs.replace(request, per_s=per_s, write_every=write_every)
        self._process = _Process(request, scene.gathered.folder)

    def __enter__(self) -> OldSideAsker:
        if self._process is not None and not isinstance(self._process.line(), Entered):
            self._process.close()
            raise Unreachable("the old side could not be asked", where=str(self._process.log))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.close()

    def stop(self) -> Asked:
        """End the asking; what was seen."""
        if self._process is None:
            return Asked()
        self._process.end_input()
        line = self._process.line()
        if not isinstance(line, Asked):
            raise Unreachable("the asker did not finish in order", where=str(self._process.log))
        return line


class _Process:
    """One asker. Its stdin is a pipe from here: it ends when we do."""

    def __init__(self, request: AskRequest, folder: Path) -> None:
        file = folder / "ask.json"
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(msgspec.json.encode(request))
        self.log = folder / "ask.log"
        paths = os.pathsep.join([_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "failover.load.asker", "--request", str(file)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip

    def line(self) -> _Line | None:
        """The next line, ``None`` when it ended without one. It limits its own time."""
        assert self._process.stdout is not None
        text = self._process.stdout.readline()
        return msgspec.json.decode(text, type=_Line) if text else None

    def end_input(self) -> None:
        """Tell it to finish."""
        assert self._process.stdin is not None
        self._process.stdin.close()

    def close(self) -> None:
        """End and reap it. Repeatable."""
        self.end_input()
        try:
            self._process.wait(timeout=_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def __enter__(self) -> _Process:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
