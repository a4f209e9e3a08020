"""What the kernel is told, asked back from it. Where it is not allowed the same calls say so and change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from failover import kernel


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


def test_a_process_is_hurried_and_let_go_again(child: subprocess.Popen[bytes]) -> None:
    allowed = kernel.hurry(kernel.EARLY, child.pid)
    assert os.sched_getscheduler(child.pid) == (os.SCHED_RR if allowed else os.SCHED_OTHER)
    if allowed:
        assert os.sched_getparam(child.pid).sched_priority == kernel.EARLY
    kernel.ordinary(child.pid)
    assert os.sched_getscheduler(child.pid) == os.SCHED_OTHER


def test_nobody_is_hurried_who_is_gone(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    assert not kernel.hurry(kernel.EARLY, child.pid)
    kernel.ordinary(child.pid)
    assert kernel.family(child.pid) == ()


def test_a_family_is_a_process_and_its_children(child: subprocess.Popen[bytes]) -> None:
    mine = kernel.family(os.getpid())
    assert mine[0] == os.getpid()
    assert child.pid in mine
    assert kernel.family(child.pid) == (child.pid,)


def test_the_keeper_and_the_run_come_before_the_database_and_that_before_clients() -> None:
    assert kernel.FIRST > kernel.EARLY > kernel.CLIENT > 0


def test_what_an_urgent_thread_starts_is_not_urgent_for_an_instant() -> None:
    """Negative: without it the child finds itself as urgent as its parent, and so does what it starts."""
    say = "import os; print(os.sched_getscheduler(0) == os.SCHED_OTHER, os.getpriority(os.PRIO_PROCESS, 0) >= 0)"
    told: dict[str, str] = {}

    def start(name: str) -> None:
        done = subprocess.run([sys.executable, "-c", say], capture_output=True, text=True, check=True)
        told[name] = done.stdout.strip()

    def urgent() -> None:
        told["allowed"] = str(kernel.hurry())
        start("as urgent")
        with kernel.calm_children():
            start("calm")
        told["still"] = str(os.sched_getscheduler(0) == (os.SCHED_RR if told["allowed"] == "True" else os.SCHED_OTHER))

    thread = threading.Thread(target=urgent)
    thread.start()
    thread.join()
    assert told["calm"] == "True True"
    assert told["as urgent"].split()[0] == str(told["allowed"] == "False")
    assert told["still"] == "True"
