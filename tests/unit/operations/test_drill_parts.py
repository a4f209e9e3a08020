"""Parts of drills that need no fleet: links of a site, the delay line, harm done to one process and taken back."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from failover.errors import Refused
from failover.operations.delay_line import STALL_S, Line
from failover.operations.drill import ACTS
from failover.operations.drill_ask import KINDS, DrillAsk
from failover.operations.drill_clock import Wrapper
from failover.operations.drill_fault import LocalProvider
from failover.operations.drill_links import all_links, links_of, require_links
from tests.fakes.hosts import fleet

PACKET = bytes(12) + bytes([198, 18, 1, 1, 198, 18, 2, 1])
OTHER_WAY = bytes(12) + bytes([198, 18, 2, 1, 198, 18, 1, 1])


def test_every_kind_has_an_act_and_none_is_without_a_name() -> None:
    assert set(ACTS) == set(KINDS)


def test_links_of_one_site() -> None:
    both = links_of(fleet(), "alpha")
    assert set(both) == {("alpha", "beta"), ("alpha", "gamma"), ("beta", "alpha"), ("gamma", "alpha")}
    assert links_of(fleet(), "alpha", way="out", to="beta") == [("alpha", "beta")]
    assert links_of(fleet(), "alpha", way="in") == [("beta", "alpha"), ("gamma", "alpha")]
    assert len(all_links(fleet())) == 6


def test_sites_that_share_a_network_have_no_links_to_cut() -> None:
    with pytest.raises(Refused, match="share this machine's network"):
        require_links(fleet())


def test_a_packet_comes_out_after_its_delay_and_not_before() -> None:
    line = Line(delay_s=0.02, jitter_s=0.0, stalls=0.0, seed=1)
    line.take(PACKET, now_s=10.0)
    assert line.next_s() == pytest.approx(10.02)
    assert line.due(now_s=10.019) == []
    assert line.due(now_s=10.021) == [PACKET]
    assert line.next_s() is None


def test_packets_of_one_path_keep_their_order_whatever_the_jitter() -> None:
    line = Line(delay_s=0.02, jitter_s=0.05, stalls=0.0, seed=3)
    sent = [PACKET + bytes([number]) for number in range(200)]
    for number, packet in enumerate(sent):
        line.take(packet, now_s=number * 0.001)
    assert line.due(now_s=10.0) == sent


def test_a_stalled_path_does_not_hold_up_the_other() -> None:
    line = Line(delay_s=0.0, jitter_s=0.0, stalls=1.0, seed=1)
    line.take(PACKET, now_s=5.0)
    assert line.due(now_s=5.0 + STALL_S / 2) == []
    assert (line.packets, line.stalls) == (1, 1)
    calm = Line(delay_s=0.0, jitter_s=0.0, stalls=0.0, seed=1)
    calm.take(OTHER_WAY, now_s=5.0)
    assert calm.due(now_s=5.0) == [OTHER_WAY]
    assert (calm.packets, calm.stalls) == (1, 0)


def test_the_same_seed_faults_at_the_same_instant() -> None:
    ask = DrillAsk(kind="freeze", site="alpha", seed=4)
    assert ask.steady_s == DrillAsk(kind="kill", site="beta", seed=4).steady_s
    assert ask.steady_s != msgspec.structs.replace(ask, seed=5).steady_s


@pytest.fixture
def host(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One process that carries the mark of the host of alpha, with a child that writes when it is told to."""
    host_dir = tmp_path / "sites" / "alpha"
    (host_dir / "run").mkdir(parents=True)
    writes = (
        "import sys\nfor line in sys.stdin:\n  try: print(open(line.strip(), 'wb', 0).write(b'x'), flush=True)\n"
        "  except OSError as error: print(error.errno, flush=True)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", writes], env={**os.environ, "FAILOVER_HOST_DIR": str(host_dir)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    (host_dir / "run" / "agent.lock").write_text(str(process.pid))
    (host_dir / "run" / "supervise.json").write_text(f'{{"pid":{process.pid},"start_ticks":0}}')
    yield process
    process.send_signal(signal.SIGCONT)
    process.kill()
    process.communicate()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]


def write(host: subprocess.Popen[bytes], path: Path) -> bytes:
    assert host.stdin is not None
    assert host.stdout is not None
    host.stdin.write(f"{path}\n".encode())
    host.stdin.flush()
    return host.stdout.readline().strip()


def test_a_frozen_site_stands_still_and_wakes_with_its_note(host: subprocess.Popen[bytes], tmp_path: Path) -> None:
    provider = LocalProvider(fleet(), tmp_path)
    provider.freeze("alpha", note={"token": "t"})
    assert state_of(host.pid) == "T"
    assert provider.away("alpha")
    assert provider.frozen_note("alpha") == {"token": "t"}
    with pytest.raises(Refused):
        provider.freeze("alpha", note={})
    provider.wake("alpha", agent_last_s=0.01)
    until = time.monotonic() + 5
    while state_of(host.pid) == "T":
        assert time.monotonic() < until, "it did not wake"
    assert not provider.away("alpha")


def test_a_full_disk_takes_no_byte_until_it_is_made_good(host: subprocess.Popen[bytes], tmp_path: Path) -> None:
    provider = LocalProvider(fleet(), tmp_path)
    assert write(host, tmp_path / "before") == b"1"
    provider.fill_disk("alpha")
    assert provider.harmed("alpha")
    assert write(host, tmp_path / "during") == b"27"  # EFBIG
    provider.make_good("alpha")
    assert resource.prlimit(host.pid, resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    assert write(host, tmp_path / "after") == b"1"
    assert not provider.harmed("alpha")


def test_a_refusing_api_leaves_the_site_running(host: subprocess.Popen[bytes], tmp_path: Path) -> None:
    provider = LocalProvider(fleet(), tmp_path)
    provider.refuse("alpha")
    assert provider.harmed("alpha")
    assert not provider.away("alpha")
    assert state_of(host.pid) not in "TZX"
    provider.make_good("alpha")
    assert not provider.harmed("alpha")


def test_a_bent_clock_jumps_under_a_running_program(tmp_path: Path) -> None:
    if shutil.which("cc") is None:
        with pytest.raises(Refused, match="no C compiler"):
            Wrapper(tmp_path / "clock")
        return
    wrapper = Wrapper(tmp_path / "clock")
    tells = "import sys, time\nfor _ in sys.stdin: print(time.time(), time.monotonic(), flush=True)"
    program = subprocess.Popen(
        [sys.executable, "-c", tells], env={**os.environ, **wrapper.environment},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
    )  # fmt: skip

    def told() -> tuple[float, float]:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write("now\n")
        wall, monotonic = program.stdout.readline().split()
        return float(wall) - time.time(), float(monotonic) - time.monotonic()

    try:
        assert abs(told()[0]) < 30
        wrapper.step(90.0)
        assert abs(told()[0] - 90) < 30
        wrapper.step(-90.0)
        wall, monotonic = told()
        assert abs(wall + 90) < 30
        assert abs(monotonic) < 30
    finally:
        program.kill()
        program.communicate()


def test_a_long_drill_is_steady_for_no_longer_than_a_short_one_lasts() -> None:
    assert 10.0 <= DrillAsk(kind="slow", site="alpha", duration_s=1815.0).steady_s < 11.0
    assert DrillAsk(kind="slow", site="alpha", duration_s=12.0).steady_s < 3.2
