"""What the kernel is told, asked back from it. Where it is not allowed the same calls say so and change nothing."""

from __future__ import annotations

import os
import subprocess
import sys
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
