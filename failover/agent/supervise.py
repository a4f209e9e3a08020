"""The init of one local host: starts the agent, starts it again when it dies, reaps what it leaves behind.

Production hosts have systemd for this. It is the host's subreaper, so that even a PostgreSQL whose agent was killed
has a parent that reaps it: a zombie postmaster keeps the next one from starting (safety E4).
Runs on the standard library alone: it must be up in a few milliseconds and must not die of a broken package.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from failover import kernel

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_CLONE_NEWNET = 0x40000000
_AGENT_NICE = -10
_RESPAWN_S = 0.1
_RESPAWN_MAX_S = 2.0


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _start_ticks(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _parents() -> dict[int, int]:
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                parents[int(name)] = int(Path(f"/proc/{name}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
    return parents


def _marked(host_dir: Path) -> set[int]:
    """Processes that carry this host's mark in their environment; catches what lost its parent."""
    mark = f"FAILOVER_HOST_DIR={host_dir}".encode()
    found: set[int] = set()
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if mark in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.add(int(name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


def host_processes(host_dir: Path) -> set[int]:
    """Every process of the host: the supervisor's tree, the database's tree, and all that carry the host's mark."""
    roots = _marked(host_dir)
    supervisor = host_dir / "run" / "supervise.json"
    if supervisor.exists():
        known = json.loads(supervisor.read_text())
        if _start_ticks(known["pid"]) == known["start_ticks"]:
            roots.add(known["pid"])
    postmaster = host_dir / "postgres" / "postmaster.pid"
    if postmaster.exists():
        lines = postmaster.read_text().splitlines()
        # Only our own postmaster: its command line names this data directory.
        if lines and lines[0].isdigit() and _start_ticks(int(lines[0])) is not None:
            # It may end between the look and this reading: then it is gone, which is all that is asked.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if str(host_dir).encode() in Path(f"/proc/{lines[0]}/cmdline").read_bytes():
                    roots.add(int(lines[0]))
    parents = _parents()
    found = set(roots)
    grew = True
    while grew:
        below = {pid for pid, parent in parents.items() if parent in found} - found
        found |= below
        grew = bool(below)
    return {pid for pid in found if pid != os.getpid() and _start_ticks(pid) is not None}


def _remove_sockets(host_dir: Path) -> None:
    """What its services left outside the folder, as they said themselves in ``run/*.sockets``: nobody has them now."""
    for listing in (host_dir / "run").glob("*.sockets"):
        for line in listing.read_text().splitlines():
            path = Path(line)
            if path.is_socket():
                path.unlink(missing_ok=True)


def stop_host(host_dir: Path, *, timeout_s: float = 30.0) -> int:
    """Kill everything of the host and return when all of it is gone; the number of processes killed.

    SIGSTOP first: a backend that forks between look and kill would get away.
    """
    killed: set[int] = set()
    end = _boot_s() + timeout_s
    while True:
        pids = host_processes(host_dir)
        if not pids:
            _remove_sockets(host_dir)
            return len(killed)
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in pids:
                try:
                    os.kill(pid, number)
                except ProcessLookupError:
                    continue
        killed |= pids
        if _boot_s() > end:
            raise TimeoutError(f"{len(pids)} processes of {host_dir} do not end: {sorted(pids)}")
        time.sleep(0.01)


def before_agent() -> None:
    """Die with the supervisor, and run before the app does: a keeper that starves under load raises false alarms and
    makes every move as long as the load wants it."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _AGENT_NICE)


def _release(host_dir: Path) -> str:
    """The folder that holds the code of the next agent, when another than this one was installed: an upgrade is to
    write it and end the agent, which bounces nothing that runs."""
    path = host_dir / "release"
    return path.read_text().strip() if path.exists() else ""


def _start_agent(host_dir: Path) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "FAILOVER_HOST_DIR": str(host_dir)}
    release = _release(host_dir)
    if release:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (release, os.environ.get("PYTHONPATH", ""))))
    with (host_dir / "log" / "agent.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "failover.agent.main", "--host-dir", str(host_dir)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=release or None,  # -m looks there first
            start_new_session=True,
            # An agent whose supervisor died would be a second one beside the next supervisor's.
            preexec_fn=before_agent,
        )


def _enter_network(host_dir: Path) -> None:
    """Some local hosts have a network namespace of their own (``infra/local/plugin/network``)."""
    name = host_dir / "netns"
    if name.exists():
        descriptor = os.open(f"/run/netns/{name.read_text().strip()}", os.O_RDONLY)
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"the network of {host_dir} cannot be entered")
        os.close(descriptor)


def _supervise(host_dir: Path) -> None:
    _enter_network(host_dir)
    for name in ("run", "log"):
        (host_dir / name).mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(host_dir / "run" / "supervise.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another supervisor holds {host_dir}")
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, _leave)
    # Before the agent: one that is started anew under load must not wait for its first instruction behind all else.
    kernel.join()
    agent = _start_agent(host_dir)
    own = {"pid": os.getpid(), "start_ticks": _start_ticks(os.getpid())}
    temporary = host_dir / "run" / f".supervise.{os.getpid()}"
    temporary.write_text(json.dumps(own))
    temporary.replace(host_dir / "run" / "supervise.json")
    try:
        _keep_agent(host_dir, agent)
    except _Stopped:
        stop_host(host_dir)


class _Stopped(Exception):
    """SIGTERM came: end the whole host."""


def _leave(_number: int, _frame: object) -> None:
    # Raised out of waitpid: Python would restart the interrupted call and never look at a flag.
    raise _Stopped


def _keep_agent(host_dir: Path, agent: subprocess.Popen[bytes]) -> None:
    pause, started = _RESPAWN_S, _boot_s()
    while True:
        pid, _status = os.waitpid(-1, 0)
        if pid != agent.pid:
            continue
        if _boot_s() - started > 10:
            pause = _RESPAWN_S
        time.sleep(pause)
        pause = min(pause * 2, _RESPAWN_MAX_S)
        agent, started = _start_agent(host_dir), _boot_s()


def main() -> None:
    """Command line: ``--host-dir DIR`` to run, with ``--stop`` to end everything of that host."""
    parser = argparse.ArgumentParser(prog="failover.agent.supervise")
    parser.add_argument("--host-dir", type=Path, required=True)
    parser.add_argument("--stop", action="store_true")
    options = parser.parse_args()
    host_dir: Path = options.host_dir.absolute()
    if options.stop:
        stop_host(host_dir)
    else:
        os.environ["FAILOVER_HOST_DIR"] = str(host_dir)
        _supervise(host_dir)


if __name__ == "__main__":
    main()
