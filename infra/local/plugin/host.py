"""Host on this machine: a folder, its bootstrap and a supervisor process. Every call may be repeated at any point.

Never here: what runs *on* the host (the agent's work), and anything of the engine's protocol.
"""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.local.plugin import network
from infra.names import HOST_IDENTITY, host_id
from infra.processes import start_ticks

ROOT = Path(__file__).resolve().parents[3]
READY_WITHIN_S = 30.0  # a busy machine is slow to start an agent; a supervisor that ends is noticed at once
STOP_WITHIN_S = 20.0
_PASSED_ON = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")


class HostProblem(Exception):
    """The host cannot be made or removed; the text is for the operator and holds no secret."""


def alive(host_dir: Path) -> bool:
    """True while the folder's supervisor runs: the same process, not one that got its number after a reboot."""
    try:
        known = json.loads((host_dir / "run" / "supervise.json").read_text())
    except FileNotFoundError:
        return False
    return start_ticks(known["pid"]) == known["start_ticks"]


def create(bootstrap: dict[str, object], *, within_s: float = READY_WITHIN_S) -> str:
    """Make the host, or adopt the one that a killed run left; its data folder is kept either way. Returns its id.

    Raises ``HostProblem`` when another host lives there, when the agent's port belongs to somebody else, or when the
    agent does not answer in time (everything started is stopped again then).
    """
    host_dir = Path(str(bootstrap["host_dir"]))
    address, port = str(bootstrap["address"]), int(str(bootstrap["agent_port"]))
    with _alone(host_dir):
        _refuse_foreign(host_dir, bootstrap)
        if not alive(host_dir):
            # First: without a route of its own the address may be anybody's, or that of a proxy that takes everything.
            _make_network(host_dir, address)
            if _accepts(address, port):
                raise HostProblem(f"{address}:{port} is in use by something that is not a host of this folder")
            _write_bootstrap(host_dir, bootstrap)
            process = _start(host_dir)
        else:
            process = None
        try:
            _wait_ready(host_dir, address, port, process, within_s)
        except HostProblem:
            _stop(host_dir)
            raise
    return host_id(bootstrap)


def remove(host_dir: Path, *, fleet: str, site: str) -> bool:
    """End every process of the host, then remove its folder. False when there was none."""
    with _alone(host_dir) as lock:
        there = host_dir.exists()
        if there:
            _refuse_foreign(host_dir, {"fleet": fleet, "site": site})
            _stop(host_dir)
            network.remove(str((_bootstrap_of(host_dir) or {}).get("address", "127.0.0.1")))
            # The bootstrap says whose folder this is: it goes last, so that a killed removal can be taken up.
            for entry in host_dir.iterdir():
                if entry.name != "bootstrap.json":
                    shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
            (host_dir / "bootstrap.json").unlink(missing_ok=True)
            host_dir.rmdir()
        lock.unlink(missing_ok=True)
    return there


def _make_network(host_dir: Path, address: str) -> None:
    try:
        host_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        network.make(host_dir, address)
    except network.NetworkProblem as problem:
        raise HostProblem(f"no network for {address}: {problem}") from problem


def _bootstrap_of(host_dir: Path) -> dict[str, object] | None:
    try:
        text = (host_dir / "bootstrap.json").read_text()
    except FileNotFoundError:
        return None
    known: dict[str, object] = json.loads(text)
    return known


def _refuse_foreign(host_dir: Path, wanted: dict[str, object]) -> None:
    known = _bootstrap_of(host_dir)
    if known is None:
        ours = ("run", "log", network.NAMESPACE_FILE)
        if host_dir.exists() and any(entry.name not in ours for entry in host_dir.iterdir()):
            raise HostProblem(f"{host_dir} holds files but no bootstrap: it is not a host of ours")
        return
    keys = HOST_IDENTITY if alive(host_dir) and "token" in wanted else ("fleet", "site")
    differing = [key for key in keys if known.get(key) != wanted[key]]
    if differing:
        raise HostProblem(f"{host_dir} belongs to another host: its bootstrap differs in {', '.join(differing)}")


def _write_bootstrap(host_dir: Path, bootstrap: dict[str, object]) -> None:
    for folder in (host_dir, host_dir / "run", host_dir / "log"):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = host_dir / "run" / ".bootstrap.json"
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(bootstrap, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(host_dir / "bootstrap.json")


def _supervise(host_dir: Path, *more: str) -> list[str]:
    override = os.environ.get("FAILOVER_SUPERVISE")
    command = shlex.split(override) if override else [sys.executable, "-m", "failover.agent.supervise"]
    return [*command, "--host-dir", str(host_dir), *more]


def _environment() -> dict[str, str]:
    # Nothing of the engine's environment reaches a host: it names credentials and the passphrase's place.
    kept = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    path = os.pathsep.join(dict.fromkeys([str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]))
    return {**kept, "PYTHONPATH": path.rstrip(os.pathsep)}


def _start(host_dir: Path) -> subprocess.Popen[bytes]:
    with (host_dir / "log" / "supervise.log").open("ab") as log:
        return subprocess.Popen(
            _supervise(host_dir),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )


def _stop(host_dir: Path) -> None:
    try:
        done = subprocess.run(
            _supervise(host_dir, "--stop"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd="/",
            env=_environment(),
            timeout=STOP_WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise HostProblem(f"the processes of {host_dir} did not end within {STOP_WITHIN_S:.0f} s") from None
    if done.returncode != 0:
        reason = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise HostProblem(f"the processes of {host_dir} could not be ended: {' '.join(reason)}")


def _accepts(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=1):
            return True
    except OSError:
        return False


def _wait_ready(
    host_dir: Path, address: str, port: int, process: subprocess.Popen[bytes] | None, within_s: float
) -> None:
    log = host_dir / "log" / "supervise.log"
    end = time.clock_gettime(time.CLOCK_BOOTTIME) + within_s
    while time.clock_gettime(time.CLOCK_BOOTTIME) < end:
        if process is not None and process.poll() is not None:
            raise HostProblem(f"the supervisor ended with status {process.returncode}; see {log}")
        if alive(host_dir) and _accepts(address, port):
            return
        time.sleep(0.02)
    raise HostProblem(f"no agent answers at {address}:{port} after {within_s:.0f} s; see {log.parent}")


@contextmanager
def _alone(host_dir: Path) -> Iterator[Path]:
    """One plug-in process at a time per host: an orphan of a killed engine may still be at work for an instant."""
    lock = host_dir.parent / f".{host_dir.name}.lock"
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                same = os.stat(lock).st_ino == os.fstat(descriptor).st_ino
            except FileNotFoundError:
                same = False
            if same:
                yield lock
                return
        finally:
            os.close(descriptor)
