"""What a killed service leaves outside its host's folder goes with the host; nothing else does."""

from __future__ import annotations

import socket
from pathlib import Path

from failover.agent.supervise import stop_host
from failover.model.fleet import Role, Site
from failover.planner.hostspec_store import store_sockets


def test_sockets_that_a_service_named_are_removed_and_files_are_not(tmp_path: Path) -> None:
    host_dir, outside = tmp_path / "host", tmp_path / "outside"
    (host_dir / "run").mkdir(parents=True)
    outside.mkdir()
    left, other, file = outside / "left.sock", outside / "other.sock", outside / "file"
    for path in (left, other):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    file.write_text("somebody's")
    (host_dir / "run" / "store.sockets").write_text(f"{left}\n{file}\n{outside / 'never-made.sock'}\n")
    assert stop_host(host_dir) == 0
    assert sorted(path.name for path in outside.iterdir()) == ["file", "other.sock"]


def test_no_two_sites_name_the_same_socket() -> None:
    sites = [Site(name="a", provider="p", role=Role.DATA, address=f"127.{block}.0.1") for block in (10, 20, 30)]
    named = [path for site in sites for path in store_sockets(site)]
    assert len(named) == len(set(named))
    assert all(path.startswith("/tmp/seaweedfs-") and path.endswith(".sock") for path in named)
