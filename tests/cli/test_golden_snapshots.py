"""Golden text of ``snapshot`` and ``keys``, and what a script can read from them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from failover.errors import Exit, Unreachable
from failover.trust.age import AgeKey
from tests.cli.conftest import Failover, Said
from tests.cli.golden import same
from tests.fakes.snapshots import Stored
from tests.fakes.wired import Memory

_VARYING = (
    (re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}"), "ID"),
    (re.compile(r"\bage1[0-9a-z]{50,}"), "RECIPIENT"),
    (re.compile(r"\b\d+(\.\d+)? (B|kB|MB)\b"), "# B"),
    (re.compile(r"\b(plan|approve) [0-9a-f]{12}"), r"\1 DIGEST"),
    (re.compile(r"\b(hour|day|week|month) \d{4}-[W\d-]+( \d+h)?"), r"\1 DATE"),
    (re.compile(r"run \d{8}T\d{6}-"), "run TIME-"),
    (re.compile(r"-[0-9a-f]{4}\)"), "-XXXX)"),
)


def text(said: Said) -> str:
    found = said.text()
    for pattern, stands in _VARYING:
        found = pattern.sub(stands, found)
    return found


CALLS = {
    "snapshot-help": ["snapshot", "--help"],
    "keys-help": ["keys", "--help"],
    "snapshot-list-empty": ["snapshot", "list"],
    "snapshot-create-dry-run": ["snapshot", "create", "--dry-run"],
    "snapshot-create-not-approved": ["snapshot", "create"],
    "snapshot-prune-nothing": ["snapshot", "prune", "--yes"],
    "snapshot-verify-none": ["snapshot", "verify"],
    "snapshot-verify-unknown": ["snapshot", "verify", "20260101T000000Z-00000000"],
    "snapshot-verify-no-id": ["snapshot", "verify", "yesterday"],
    "snapshot-restore-nowhere": ["snapshot", "restore"],
    "snapshot-restore-two-targets": ["snapshot", "restore", "--into", "x", "--latest", "--to-lsn", "0/1"],
    "snapshot-restore-bad-time": ["snapshot", "restore", "--into", "x", "--to-time", "noon"],
    "snapshot-restore-no-zone": ["snapshot", "restore", "--into", "x", "--to-time", "2026-11-26T14:02:00"],
    "snapshot-restore-bad-lsn": ["snapshot", "restore", "--into", "x", "--to-lsn", "12"],
    "keys-test-no-snapshot": ["keys", "test"],
    "keys-rotate-unknown": ["keys", "rotate", "age1nobody"],
    "keys-new-bad-name": ["keys", "new", "../k"],
}


@pytest.mark.parametrize("name", CALLS)
def test_golden(name: str, failover: Failover, stored_world: Stored) -> None:
    same(name, text(failover(*CALLS[name])))


@pytest.mark.parametrize("words", [["snapshot", "list"], ["snapshot", "create", "--yes"], ["keys", "list"]])
def test_a_fleet_without_stores(words: list[str], failover: Failover, world: Memory) -> None:
    said = failover(*words)
    assert said.status == Exit.USAGE
    same("snapshot-no-stores", text(said))


def test_a_snapshot_from_beginning_to_end(failover: Failover, stored_world: Stored) -> None:
    same("snapshot-create-done", text(failover("snapshot", "create", "--yes", "--no-colour")))
    same("snapshot-list", text(failover("snapshot", "list")))
    same("snapshot-verify", text(failover("snapshot", "verify", "--at", "alpha", "--no-colour")))
    same("snapshot-list-verified", text(failover("snapshot", "list")))
    same("snapshot-verify-no-store", text(failover("snapshot", "verify", "--at", "gamma")))
    into = str(stored_world.folder / "copy")
    same("snapshot-restore", text(failover("snapshot", "restore", "--into", into, "--no-colour")))
    same("snapshot-restore-not-empty", text(failover("snapshot", "restore", "--into", into, "--no-colour")))
    same("snapshot-prune-keeps", text(failover("snapshot", "prune", "--dry-run")))


def test_json(failover: Failover, stored_world: Stored) -> None:
    taken = json.loads(failover("--json", "snapshot", "create", "--yes").out)
    assert next(iter(taken)) == "schema" and taken["schema"] == "failover/snapshot/v1"
    assert [store["provider"] for store in taken["stores"]] == ["north", "south"]
    assert {"id", "kind", "parent", "lsn", "timeline", "created_at", "stores", "encrypted_to", "verified"} <= set(taken)
    listed = json.loads(failover("--json", "snapshot", "list").out)
    assert (listed["schema"], listed["snapshots"][0]["id"]) == ("failover/snapshots/v1", taken["id"])
    proof = json.loads(failover("--json", "snapshot", "verify", "--at", "beta").out)
    assert {"at", "site", "lsn", "rows", "digest", "seconds"} <= set(proof["verified"])
    assert [store["sha256_ok"] for store in proof["stores"]] == [None, True]
    into = str(stored_world.folder / "copy")
    done = json.loads(failover("--json", "snapshot", "restore", taken["id"], "--into", into).out)
    assert (done["schema"], done["exact"]) == ("failover/restored/v1", True)
    plan = json.loads(failover("--json", "snapshot", "prune", "--dry-run").out)
    assert plan["schema"] == "failover/plan/v1"


def test_what_is_damaged_or_silent_has_a_status_of_its_own(failover: Failover, stored_world: Stored) -> None:
    failover("snapshot", "create", "--yes")
    _, south = stored_world.stores
    data = next(key for key in south.objects if key.endswith("data.tar.zst.age"))
    south.flip(data, 3000)
    damaged = failover("--json", "snapshot", "verify", "--at", "beta")
    assert damaged.status == Exit.DAMAGED
    error = json.loads(damaged.err.splitlines()[-1])
    assert error["code"] == "damaged" and "s-north still has a good copy" in error["message"]
    south.faults = [Unreachable("silent", where="s-south")] * 20
    said = failover("snapshot", "list")
    assert said.status == Exit.UNREACHABLE and "s-south: unknown: silent" in said.out


def test_keys(failover: Failover, stored_world: Stored, tmp_path: Path) -> None:
    assert failover("snapshot", "create", "--yes").status == 0
    same("keys-list", text(failover("keys", "list")))
    same("keys-test", text(failover("keys", "test")))
    drawer = tmp_path / "keys" / "k1.key"
    drawer.rename(tmp_path / "drawer")
    same("keys-test-one-missing", text(failover("keys", "test")))
    assert failover("keys", "test", "--key", str(tmp_path / "drawer")).status == 0
    (tmp_path / "no.key").write_text("no key")
    same("keys-test-no-key", text(failover("keys", "test", "--key", str(tmp_path / "no.key"))))


def test_a_new_key_is_never_written_over(failover: Failover, tmp_path: Path) -> None:
    fleet = str(tmp_path / "fleet.yaml")
    made = failover("--fleet", fleet, "keys", "new", "drawer", "--out", str(tmp_path / "d.key"))
    same("keys-new", text(made))
    path = tmp_path / "d.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert AgeKey.read(path.read_text()).public in path.read_text()
    again = failover("--fleet", fleet, "keys", "new", "--out", str(path))
    assert again.status == Exit.USAGE and "no key is ever written over" in again.err
    assert "AGE-SECRET-KEY" not in made.out + made.err
