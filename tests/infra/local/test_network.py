"""The wire of a site with a network of its own, made again while what was there before is not quite gone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local.plugin import network

ADDRESS = "198.18.251.1"
NAME = network.wire_name(ADDRESS)

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="a network of its own needs root")


@pytest.fixture
def tenant() -> Iterator[subprocess.Popen[bytes]]:
    """Somebody who lives on in the namespace when its name is gone."""
    network.remove(ADDRESS)
    subprocess.run(["ip", "netns", "add", NAME], check=True)
    process = subprocess.Popen(["ip", "netns", "exec", NAME, "sleep", "300"])
    yield process
    process.kill()
    process.wait()
    network.remove(ADDRESS)


def test_a_wire_whose_other_end_is_lost_is_made_anew(tenant: subprocess.Popen[bytes], tmp_path: Path) -> None:
    network.make(tmp_path, ADDRESS)
    # It must have gone in before the name goes, or it would live nowhere.
    while Path(f"/proc/{tenant.pid}/ns/net").readlink() == Path("/proc/self/ns/net").readlink():
        assert tenant.poll() is None
    subprocess.run(["ip", "netns", "del", NAME], check=True)
    assert Path("/sys/class/net", NAME).exists(), "the wire is still there, and leads nowhere"

    network.make(tmp_path, ADDRESS)
    shown = subprocess.run(["ip", "-n", NAME, "addr", "show", "site0"], capture_output=True, text=True, check=True)
    assert f"{ADDRESS}/32" in shown.stdout
    network.make(tmp_path, ADDRESS)

    network.remove(ADDRESS)
    assert not Path("/sys/class/net", NAME).exists() and not Path("/run/netns", NAME).exists()
    network.remove(ADDRESS)
