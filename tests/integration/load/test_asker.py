"""A side that was cut off is asked: what it serves of the past is found, and that it serves nothing of it is too."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import msgspec
import pytest

from failover.load.asked import Asked, AskRequest, Entered
from failover.load.workload import HttpRequest, ReadMark
from tests.integration.load.parts import NAME, PORT, ROOT, App, Dns, workload

# The old side is the name's first address: whoever does not avoid it runs into it.
OLD, NEW = "127.84.0.21", "127.84.0.22"
DNS = "127.84.0.5"
WITHIN_S = 30.0


@contextmanager
def asking(folder: Path, server: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """The asker's own process, once its first mark is acknowledged: its stdin and stdout."""
    mark = ReadMark(keep="json:id", request=HttpRequest(method="GET", path="/rows/{mark}", accept=(200,)), stale=(404,))
    request = AskRequest(
        run="asks", workload=msgspec.structs.replace(workload(), mark=mark), target=f"http://{NAME}:{PORT}",
        dns_servers=(server,), places=(f"http://{OLD}:{PORT}",), per_s=100.0, write_every=20, attempt_s=1.0,
    )  # fmt: skip
    (folder / "ask.json").write_bytes(msgspec.json.encode(request))
    command = [sys.executable, "-m", "failover.load.asker", "--request", str(folder / "ask.json")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None and process.stdout is not None
        try:
            assert msgspec.json.decode(process.stdout.readline(), type=Entered).values
            yield process.stdin, process.stdout
        finally:
            process.kill()


def wait_for(more: int, count: Callable[[], int], what: str) -> None:
    ends, begun = time.monotonic() + WITHIN_S, count()
    while count() < begun + more:
        assert time.monotonic() < ends, what
        time.sleep(0.02)


@pytest.mark.parametrize("mode", ["alone", "fenced"])
def test_a_cut_off_side_is_caught_by_what_its_answers_lack(tmp_path: Path, mode: str) -> None:
    with (
        App(tmp_path, OLD) as old,
        App(tmp_path, NEW, name="beta") as new,
        Dns(tmp_path, DNS, addresses=[OLD, NEW], ttl_s=30) as dns,
    ):
        old.behave(mode)  # from the first mark on: the two sides of this test have no rows in common
        with asking(tmp_path, dns.server) as (stdin, stdout):
            # Marks go on being made elsewhere although every write that reaches the old side hangs.
            wait_for(5, lambda: len(new.rows()), "no marks were made at the other side")
            wait_for(30, lambda: int(old.ask("GET", "/rows")["seen"]), "nobody asked the old side")
            stdin.close()
            asked = msgspec.json.decode(stdout.readline(), type=Asked)
    assert len(asked.marked_s) >= 5
    assert not asked.acknowledged
    if mode == "alone":
        assert asked.stale_reads > 0
        assert len(asked.served_s) == asked.stale_reads + asked.fresh_reads
    else:
        assert (asked.stale_reads, asked.served_s) == (0, ()), asked.stale_log
        assert asked.answered > 0
