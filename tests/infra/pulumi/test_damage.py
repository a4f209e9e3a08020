"""What is stored was cut short, another run is at work, the passphrase is wrong: what `up` says, and how it goes on."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from failover.adapters.pulumi_program import locate_pulumi
from failover.errors import Damaged, Denied, LeaseHeld, Unreachable, UsageError
from tests.infra.pulumi.fleets import DEADLINE_S, StackFleet, ignore, wait_until

pytestmark = pytest.mark.timeout(300)  # a dozen runs of the engine, on a machine that may be busy


def checkpoint_of(fleet: StackFleet, site: str) -> Path:
    return fleet.state / "pulumi" / "backend" / ".pulumi" / "stacks" / "failover" / f"{site}.json"


def locks_of(fleet: StackFleet, site: str) -> Path:
    return fleet.state / "pulumi" / "backend" / ".pulumi" / "locks" / "organization" / "failover" / site


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_a_cut_configuration_and_a_cut_state_are_put_right(fleet: StackFleet) -> None:
    fleet.up("alpha")
    host = fleet.of_host("alpha")
    cut(fleet.state / "pulumi" / "project" / "Pulumi.alpha.yaml")
    cut(checkpoint_of(fleet, "alpha"))
    fleet.up("alpha")
    assert fleet.of_host("alpha") == host
    assert fleet.up("alpha").changed == 0


def test_a_state_without_any_copy_is_damaged_and_its_hint_works(fleet: StackFleet) -> None:
    fleet.up("alpha")
    host, checkpoint = fleet.of_host("alpha"), checkpoint_of(fleet, "alpha")
    for path in checkpoint.parent.glob("alpha.json*"):
        path.write_text("{")
    shutil.rmtree(fleet.state / "pulumi" / "backend" / ".pulumi" / "backups")
    with pytest.raises(Damaged) as caught:
        fleet.up("alpha")
    assert str(checkpoint) in caught.value.hint
    with pytest.raises(Damaged):
        fleet.provisioner.preview(fleet.request("alpha"), deadline_s=DEADLINE_S)

    checkpoint.unlink()
    assert fleet.up("alpha").changed == 2
    assert fleet.of_host("alpha") == host
    assert fleet.destroy("alpha") == 2


def test_a_stack_made_halfway_is_finished(fleet: StackFleet) -> None:
    """The configuration written and the stack's first file cut to nothing: a kill in the middle of `stack init`."""
    checkpoint = checkpoint_of(fleet, "alpha")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    assert fleet.up("alpha").changed == 2


def test_the_wrong_passphrase_is_denied_and_changes_nothing(fleet: StackFleet) -> None:
    fleet.up("alpha")
    state = checkpoint_of(fleet, "alpha").read_bytes()
    other = fleet.with_passphrase("another one")
    with pytest.raises(Denied) as caught:
        other.up(fleet.request("alpha"), progress=ignore, deadline_s=DEADLINE_S)
    assert "passphrase" in caught.value.hint
    with pytest.raises(Denied):
        other.destroy(fleet.request("alpha"), progress=ignore, deadline_s=DEADLINE_S)
    assert checkpoint_of(fleet, "alpha").read_bytes() == state
    assert fleet.up("alpha").changed == 0


def test_of_two_runs_on_one_stack_one_wins(fleet: StackFleet) -> None:
    results: list[object] = []

    def up() -> None:
        try:
            results.append(fleet.up("alpha").changed)
        except LeaseHeld as held:
            results.append(held)

    threads = [threading.Thread(target=up) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(type(result).__name__ for result in results) == ["LeaseHeld", "int"]
    held = next(result for result in results if isinstance(result, LeaseHeld))
    assert f"process {os.getpid()}" in held.message
    assert [len(pids) for pids in fleet.of_host("alpha").values()] == [1, 1]


def test_a_lock_of_the_dead_goes_and_one_of_the_living_stays(fleet: StackFleet, tmp_path: Path) -> None:
    fleet.up("alpha")
    engine = tmp_path / "pulumi"
    engine.symlink_to("/bin/sleep")
    living = subprocess.Popen([engine, "60"])
    lock = locks_of(fleet, "alpha") / "0c2e.json"
    holder = {
        "pid": living.pid,
        "username": "ops",
        "hostname": socket.gethostname(),
        "timestamp": "2026-01-01T00:00:00Z",
    }
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        lock.write_text(json.dumps(holder))
        with pytest.raises(LeaseHeld) as caught:
            fleet.up("alpha")
        assert f"process {living.pid} of ops" in caught.value.message
        assert lock.exists()
        elsewhere = locks_of(fleet, "alpha") / "0c2f.json"
        elsewhere.write_text(json.dumps(holder | {"pid": 1, "hostname": "another.machine"}))
        living.kill()
        living.wait()
        with pytest.raises(LeaseHeld, match="another"):
            fleet.up("alpha")
        assert not lock.exists()
        elsewhere.unlink()
        assert fleet.up("alpha").changed == 0
    finally:
        living.kill()
        living.wait()


def test_one_site_that_fails_stops_no_other(fleet: StackFleet) -> None:
    with socket.create_server((fleet.request("alpha").site.address, 7443)):
        outcomes = fleet.in_parallel(lambda name: _changed_or_error(fleet, name))
    assert outcomes[1:] == [2, 1]
    assert isinstance(outcomes[0], Unreachable)
    assert "in use" in outcomes[0].message
    assert not any(fleet.of_host("alpha").values())
    assert fleet.up("alpha").changed == 2


def _changed_or_error(fleet: StackFleet, name: str) -> object:
    try:
        return fleet.up(name).changed
    except Unreachable as problem:
        return problem


def test_a_suspended_account_refuses_and_notes_who_called(fleet: StackFleet) -> None:
    """As the kill drill switches a provider off: nothing of its stack changes, and nothing is made in its place."""
    fleet.up("alpha")
    fleet.kill_host("alpha")
    gone = fleet.state / "suspended"
    gone.mkdir()
    fleet.host_dir("alpha").rename(gone / "alpha")
    with pytest.raises(Unreachable, match="suspended"):
        fleet.up("alpha")
    assert "read local:index:Host" in (gone / "alpha.refused").read_text()
    assert not fleet.host_dir("alpha").exists()
    (gone / "alpha").rename(fleet.host_dir("alpha"))
    assert fleet.up("alpha").changed == 1


def test_a_deadline_and_an_interrupt_stop_in_good_order(fleet: StackFleet) -> None:
    with pytest.raises(Unreachable, match="in time"):
        fleet.provisioner.up(fleet.request("alpha"), progress=ignore, deadline_s=1)
    assert not any(fleet.of_engine().values())

    caught: list[BaseException] = []

    def up() -> None:
        try:
            fleet.up("alpha")
        except Exception as problem:  # noqa: BLE001 - whatever it is, the test looks at it
            caught.append(problem)

    thread = threading.Thread(target=up)
    thread.start()
    assert wait_until(lambda: bool(fleet.of_engine()["engine"]))
    fleet.provisioner.interrupt()
    thread.join()
    assert [type(problem).__name__ for problem in caught] == ["Interrupted"]
    assert not any(fleet.of_engine().values())
    assert not list(locks_of(fleet, "alpha").glob("*.json"))
    fleet.up("alpha")
    assert [len(pids) for pids in fleet.of_host("alpha").values()] == [1, 1]


def test_a_folder_that_is_not_ours_is_left_alone(fleet: StackFleet) -> None:
    host_dir = fleet.host_dir("alpha")
    host_dir.mkdir(parents=True)
    (host_dir / "thesis.txt").write_text("ten years")
    with pytest.raises(Unreachable, match="not a host of ours"):
        fleet.up("alpha")
    with pytest.raises(Unreachable, match="not a host of ours"):
        fleet.destroy("alpha")
    assert (host_dir / "thesis.txt").read_text() == "ten years"


def test_without_a_command_line_the_hint_names_the_set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("FAILOVER_PULUMI", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        locate_pulumi(tmp_path)
    assert caught.value.hint == "script/bootstrap"
