"""The life of three stacks: preview, up, no change, repair, replacement, destroy."""

from __future__ import annotations

import socket
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from failover.ports.provisioner import StackProgress
from tests.infra.pulumi.fleets import DEADLINE_S, SECRETS, StackFleet, ignore, processes, read_proc

pytestmark = pytest.mark.timeout(300)  # a dozen runs of the engine, on a machine that may be busy


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below, apart from what our own children say (their log)."""
    every = [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "log"]
    return {str(path): path.read_bytes() for path in every}


def accepts(address: str, port: int) -> bool:
    with socket.socket() as connection:
        connection.settimeout(1)
        return connection.connect_ex((address, port)) == 0


def test_three_sites_from_nothing_to_nothing(fleet: StackFleet) -> None:
    told: list[StackProgress] = []

    def up(name: str) -> int:
        return fleet.provisioner.up(fleet.request(name), progress=told.append, deadline_s=DEADLINE_S).changed

    def kinds(name: str) -> list[str]:
        changes = fleet.provisioner.preview(fleet.request(name), deadline_s=DEADLINE_S).changes
        return [change.operation for change in changes]

    assert fleet.in_parallel(kinds) == [["create", "create"], ["create", "create"], ["create"]]
    assert not files_of(fleet.state)

    assert fleet.in_parallel(up) == [2, 2, 1]
    assert {(line.site, line.resource, line.operation, line.phase) for line in told if line.site == "alpha"} == {
        ("alpha", resource, "create", phase)
        for resource in ("Host alpha", "Zone alpha-zone")
        for phase in ("started", "done")
    }
    assert all(accepts(fleet.request(name).site.address, 7443) for name in ("alpha", "beta", "gamma"))
    outputs = fleet.provisioner.outputs("alpha", deadline_s=10)
    assert outputs is not None
    assert (outputs.address, outputs.agent_port) == (f"{fleet.block}.1", 7443)
    assert outputs.zone_servers == (f"{fleet.block}.1:5300",)
    assert outputs.host_id.startswith("stacks-alpha-")

    before = fleet.in_parallel(fleet.of_host)
    kept = files_of(fleet.state)
    assert fleet.in_parallel(kinds) == [["same", "same"], ["same", "same"], ["same"]]
    assert files_of(fleet.state) == kept
    assert fleet.in_parallel(up) == [0, 0, 0]
    assert fleet.in_parallel(fleet.of_host) == before

    assert fleet.in_parallel(fleet.destroy) == [2, 2, 1]
    assert fleet.in_parallel(fleet.destroy) == [0, 0, 0]
    assert fleet.provisioner.outputs("alpha", deadline_s=10) is None
    assert not list((fleet.state / "sites").iterdir())
    assert not any(fleet.of_engine().values())
    assert not any(accepts(fleet.request(name).site.address, 7443) for name in ("alpha", "beta", "gamma"))


def test_a_dead_host_is_found_and_comes_back_with_its_disk(fleet: StackFleet) -> None:
    fleet.up("alpha")
    first = fleet.provisioner.outputs("alpha", deadline_s=10)
    (fleet.host_dir("alpha") / "data" / "kept").write_text("a row")
    fleet.kill_host("alpha")

    assert fleet.up("alpha").changed == 1
    assert (fleet.host_dir("alpha") / "data" / "kept").read_text() == "a row"
    assert fleet.provisioner.outputs("alpha", deadline_s=10) == first
    assert [len(pids) for pids in fleet.of_host("alpha").values()] == [1, 1]


def test_a_lost_zone_is_made_again(fleet: StackFleet) -> None:
    fleet.up("alpha")
    database = fleet.host_dir("alpha") / "dns" / "zone.sqlite3"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM domains")
    assert fleet.up("alpha").changed == 1
    with closing(sqlite3.connect(database)) as connection:
        assert {kind for (kind,) in connection.execute("SELECT type FROM records")} == {"SOA", "NS", "A"}


def test_another_port_is_another_host_and_another_agent_is_not(fleet: StackFleet) -> None:
    fleet.up("alpha")
    first = fleet.of_host("alpha")
    assert fleet.up("alpha", agent_version="2").changed == 0
    assert fleet.of_host("alpha") == first

    moved = fleet.request("alpha", port=7444)
    preview = fleet.provisioner.preview(moved, deadline_s=DEADLINE_S)
    assert [(change.operation, change.fields) for change in preview.changes] == [("replace", ("agentPort",))] * 2
    outputs = fleet.provisioner.up(moved, progress=ignore, deadline_s=DEADLINE_S).outputs
    assert outputs.agent_port == 7444
    assert accepts(moved.site.address, 7444)
    assert not accepts(moved.site.address, 7443)
    assert (fleet.host_dir("alpha") / "dns" / "zone.sqlite3").exists()
    assert [len(pids) for pids in fleet.of_host("alpha").values()] == [1, 1]


def test_no_secret_is_seen(fleet: StackFleet) -> None:
    """Not in arguments or environments while the engine runs, nor in any file but the host's own bootstrap."""
    seen: set[bytes] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            for pid in processes():
                seen.add(read_proc(pid, "cmdline"))
                seen.add(read_proc(pid, "environ"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        fleet.up("alpha")
    finally:
        over.set()
        watcher.join()
    assert any(b"stacks.run" in text for text in seen)
    assert any(b"PULUMI_CONFIG_PASSPHRASE_FILE" in text for text in seen)
    written = {path: path.read_bytes() for path in fleet.state.rglob("*") if path.is_file()}
    assert any(path.name == "alpha.json" for path in written)
    for secret in SECRETS:
        assert not [text for text in seen if secret.encode() in text]
        places = [path.name for path, content in written.items() if secret.encode() in content]
        assert places == (["bootstrap.json"] if secret == SECRETS[1] else [])
