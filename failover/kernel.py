"""What the kernel must be told about who waits for whom. Without the rights, or the controller, nothing changes.

A move is some thirty hand-overs between small processes, one after the other. On a busy host each of them waits for a
time slice (4 ms and more), unless keeper and run come first: they do what corosync does and ask for a real-time policy
(sched(7)), and so does the record. Nothing else that they start keeps it; a database has it for two seconds of a move:
a long query may not take a machine from its own operator.

``nice`` alone does nothing between services: the kernel groups processes by session (sched(7), "The autogroup
feature"), and every PostgreSQL backend is a session of its own. So a host's services share one control group, in which
nice values mean what they say. On production hosts systemd's ``CPUSchedulingPolicy=`` and ``CPUWeight=`` say the same.
Must never be here: who is urgent; callers know that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

FIRST, EARLY, CLIENT = 3, 2, 1
_GROUP = "failover-services"
_SHARES_V1 = "16384"  # of 1024 for everything else (cgroup v1, cpu.shares)
_REAL_TIME_V1 = "800000"  # microseconds of each second (cgroup v1, cpu.rt_runtime_us)
_WEIGHT_V2 = "1600"  # of 100 (cgroup v2, cpu.weight)


def hurry(level: int = FIRST, pid: int = 0) -> bool:
    """Run this thread (or ``pid``), and what it starts from now on, before everything of a lower level. False: not
    allowed here, or gone."""
    try:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(level))
    except OSError:  # not root, or a control group without real-time share
        return False
    return True


def ordinary(pid: int) -> None:
    """Take ``hurry`` back, also from a child that inherited it; nice values stay."""
    try:
        os.sched_setscheduler(pid, os.SCHED_OTHER, os.sched_param(0))
    except OSError:  # it has ended already, or never had anything
        return


@contextmanager
def calm_children() -> Iterator[None]:
    """What this thread starts inside is born without its urgency, and with nice 0. Taken back afterwards it would be
    late: a new process runs its first 100 ms (a real-time time slice) before its parent gets the processor back, and a
    host's services together kept a neighbour's database from answering for half a second."""
    policy = os.sched_getscheduler(0)
    if policy != os.SCHED_RR:
        yield
        return
    level = os.sched_getparam(0)
    os.sched_setscheduler(0, policy | os.SCHED_RESET_ON_FORK, level)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, level)


def family(pid: int) -> tuple[int, ...]:
    """A process and its children; nobody when it is gone."""
    try:
        return (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))
    except OSError:
        return ()


def join() -> bool:
    """Take this process, and every service it will start, into the services' group. False: there is none to be had.

    Once and early: a change of groups waits for the whole kernel, some 50 ms, and never belongs into a pause. Before
    ``hurry``: a group that has no real-time share takes nobody in who runs so.
    """
    found = _home()
    if found is None:
        return False
    if _inside():
        return True
    home, name, weight = found
    group = home / _GROUP
    try:
        group.mkdir(exist_ok=True)
        if (group / name).read_text().strip() != weight:
            (group / name).write_text(weight)
        share = group / "cpu.rt_runtime_us"
        if share.exists() and share.read_text().strip() == "0":
            share.write_text(_REAL_TIME_V1)
        (group / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:  # not ours to write
        return False
    return True


def _inside() -> bool:
    return any(line.endswith(f"/{_GROUP}") for line in Path("/proc/self/cgroup").read_text().splitlines())


@cache
def _home() -> tuple[Path, str, str] | None:
    """Folder of this process's control group, and the name and value of a weight in it; ``None``: there is none."""
    try:
        groups = [line.split(":", 2) for line in Path("/proc/self/cgroup").read_text().splitlines()]
        mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    except OSError:
        return None
    for _, controllers, path in groups:
        for _source, point, kind, options, *_rest in mounts:
            here = Path(point + path)
            home = here.parent if here.name == _GROUP else here
            if kind == "cgroup" and "cpu" in controllers.split(",") and "cpu" in options.split(","):
                return home, "cpu.shares", _SHARES_V1
            enabled = home / "cgroup.subtree_control"
            if kind == "cgroup2" and not controllers and enabled.exists() and "cpu" in enabled.read_text().split():
                return home, "cpu.weight", _WEIGHT_V2
    return None
