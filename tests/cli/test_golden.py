"""Golden text of each command and each refusal, and what a script can read from it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from failover.errors import Exit
from tests.cli.conftest import Failover
from tests.cli.golden import same
from tests.fakes.hosts import agent, record, suspects
from tests.fakes.wired import Memory

CALLS = {
    "status": ["status"],
    "status-json": ["--json", "status"],
    "check": ["check"],
    "check-site": ["check", "beta"],
    "check-json": ["check", "--format", "json"],
    "check-prometheus": ["check", "--format", "prometheus"],
    "switchover-dry-run": ["switchover", "--to", "beta", "--dry-run"],
    "switchover-markdown": ["switchover", "--to", "beta", "--dry-run", "--format", "markdown"],
    "switchover-json": ["switchover", "--to", "beta", "--dry-run", "--json"],
    "switchover-refused": ["switchover", "--to", "gamma", "--dry-run"],
    "switchover-refused-markdown": ["switchover", "--to", "gamma", "--dry-run", "--format", "markdown"],
    "switchover-refused-json": ["--json", "switchover", "--to", "gamma", "--yes"],
    "switchover-same": ["switchover", "--to", "alpha", "--yes"],
    "switchover-not-approved": ["switchover", "--to", "beta"],
    "switchover-other-digest": ["switchover", "--to", "beta", "--approve", "0123456789ab"],
    "switchover-yes-and-approve": ["switchover", "--to", "beta", "--yes", "--approve", "0123456789ab"],
    "promote-refused": ["promote", "beta", "--yes"],
    "promote-bad-duration": ["promote", "beta", "--accept-loss", "42"],
    "failback-nothing": ["failback", "--yes"],
    "failback-json-nothing": ["--json", "failback", "--yes"],
    "deploy-dry-run": ["deploy", "--dry-run"],
    "deploy-unknown-site": ["deploy", "nowhere", "--dry-run"],
    "destroy-dry-run": ["destroy", "--dry-run"],
    "destroy-primary": ["destroy", "alpha", "--yes"],
    "destroy-markdown": ["destroy", "beta", "--dry-run", "--format", "markdown"],
    "preview-unknown-site": ["preview", "nowhere"],
    "journal-list-empty": ["journal", "list"],
    "journal-show-unknown": ["journal", "show", "nothing"],
    "certificate-list-empty": ["certificate", "list"],
    "certificate-show-unknown": ["certificate", "show", "nothing"],
    "record-show": ["record", "show"],
    "record-json": ["--json", "record", "show"],
    "rejoin-nothing": ["rejoin", "beta", "--yes"],
    "rejoin-witness": ["rejoin", "gamma", "--yes"],
    "resume-unknown": ["resume", "nothing"],
    "check-unknown-site": ["check", "nowhere"],
    "check-bad-format": ["check", "--format", "xml"],
    "bad-format": ["switchover", "--to", "beta", "--dry-run", "--format", "pdf"],
    "drill-unknown-kind": ["drill", "earthquake", "alpha"],
    "drill-unknown-site": ["drill", "freeze", "nowhere"],
    "drill-bad-way": ["drill", "partition", "alpha", "--way", "sideways"],
    "drill-bad-only": ["drill", "partition", "alpha", "--only", "alpha"],
    "drill-bad-stalls": ["drill", "slow", "alpha", "--stalls", "99"],
    "drill-bad-rtt": ["drill", "slow", "alpha", "--rtt", "40"],
    "drill-links-refused": ["drill", "partition", "alpha"],
    "drill-links-refused-json": ["--json", "drill", "slow", "beta"],
    "drill-no-disk": ["drill", "disk", "gamma"],
    "drill-same-site": ["drill", "stop-midway", "alpha"],
    "schedule-bad-duration": ["schedule", "install", "--every", "60", "--print"],
}


@pytest.mark.parametrize("name", CALLS)
def test_golden(name: str, failover: Failover, world: Memory) -> None:
    same(name, failover(*CALLS[name]).text())


def test_a_silent_store_is_told_by_status_and_check(failover: Failover, stores_world: Memory) -> None:
    assert failover("check").status == 0
    stores_world.store_looks.silent["north"] = "Connection refused"
    same("status-store-silent", failover("status").text())
    same("check-store-silent", failover("check").text())


def test_deploy_tells_of_its_buckets(failover: Failover, stores_world: Memory) -> None:
    same("deploy-dry-run-stores", failover("deploy", "--dry-run", "--format", "markdown").text())
    held = dict(stores_world.wired.secrets.store_keys)
    stores_world.wired.secrets.store_keys.clear()
    try:
        same("deploy-no-store-key", failover("deploy", "--dry-run").text())
    finally:
        stores_world.wired.secrets.store_keys.update(held)


USAGE = [[], ["--help"], ["drill", "--help"], ["journal", "--help"], ["nope"], ["switchover"]]


@pytest.mark.parametrize("words", USAGE)
def test_help_and_usage(words: list[str], failover: Failover) -> None:
    same("usage" + "".join(f"-{word.lstrip('-')}" for word in words), failover(*words).text())


def test_a_switchover_and_its_journal(failover: Failover, world: Memory) -> None:
    done = failover("switchover", "--to", "beta", "--yes", "--no-colour")
    assert done.status == Exit.DONE
    same("switchover-done", done.out)
    run = world.journal.runs()[0].run
    same("journal-list", failover("journal", "list").text())
    shown = failover("journal", "show", run)
    assert shown.status == Exit.DONE
    assert shown.out.count("intent") == 12  # one was so already
    both = json.loads(failover("--json", "journal", "show", run).out)
    assert both["schema"] == "failover/journal/v1"
    assert both["plan"]["verb"] == "switchover"


def test_json_is_one_object_and_progress_is_lines(failover: Failover, world: Memory) -> None:
    done = failover("--json", "switchover", "--to", "beta", "--yes")
    answer = json.loads(done.out)
    assert next(iter(answer)) == "schema"
    assert answer["schema"] == "failover/run/v1"
    assert answer["after"]["record"]["primary"].startswith("beta_")
    lines = [json.loads(line) for line in done.err.splitlines()]
    assert {line["schema"] for line in lines} == {"failover/progress/v1"}
    assert {line["phase"] for line in lines if line["kind"] == "step"} == {"started", "done"}


def test_the_last_line_of_a_failure_is_json(failover: Failover, world: Memory) -> None:
    world.hosts.stuck_stop = True
    failed = failover("--json", "switchover", "--to", "beta", "--yes")
    assert failed.status == Exit.UNDONE
    last = json.loads(failed.err.splitlines()[-1])
    assert (last["schema"], last["code"], last["exit"]) == ("failover/error/v1", "undone", 5)
    assert failed.out == ""


def test_a_lost_primary(failover: Failover, world: Memory) -> None:
    world.hosts.silent.add("alpha")
    for site in ("beta", "gamma"):
        probes = suspects(site, record(), "alpha", "down").probes
        world.hosts.states[site] = msgspec.structs.replace(world.hosts.states[site], probes=probes)
    same("status-lost", failover("status").text())
    same("check-lost", failover("check").text())
    same("promote-dry-run", failover("promote", "beta", "--dry-run").text())
    same("promote-markdown", failover("promote", "beta", "--dry-run", "--format", "markdown").text())


def test_an_app_without_a_gate(failover: Failover, plain_world: Memory) -> None:
    same("plain-dry-run", failover("switchover", "--to", "beta", "--dry-run").text())
    same("plain-markdown", failover("switchover", "--to", "beta", "--dry-run", "--format", "markdown").text())
    plain_world.hosts.bad_hook = True
    text = failover("switchover", "--to", "beta", "--yes").text()
    # The two checkpoints run side by side, in no order.
    told = "".join(line for line in text.splitlines(keepends=True) if not line.startswith("Checkpoint at"))
    same("plain-bad-hook", told)
    assert plain_world.record.primary_site == "alpha"
    assert ("hold", "alpha") not in plain_world.hosts.calls
    assert ("release", "alpha") in plain_world.hosts.calls, "what was quiesced goes on"
    plain_world.hosts.bad_hook = False
    done = failover("--json", "switchover", "--to", "beta", "--yes")
    assert done.status == Exit.DONE
    assert [step["id"] for step in json.loads(done.out)["steps"]][2:4] == ["quiesce", "claim"]
    assert plain_world.record.primary_site == "beta"


def test_a_lease_that_another_holds(failover: Failover, world: Memory) -> None:
    world.store.acquire(name="fleet", owner="eve@elsewhere pid 9", ttl_s=60, deadline_s=1)
    same("lease-held", failover("switchover", "--to", "beta", "--yes").text())


def test_an_unknown_exception_is_called_a_bug(
    failover: Failover, world: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> object:
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr("failover.cli.look_commands.judge", broken)
    told = failover("status")
    assert told.status == Exit.BUG
    assert "Traceback" in told.err
    assert "please report" in told.err
    last = json.loads(failover("--json", "status").err.splitlines()[-1])
    assert (last["code"], last["exit"]) == ("bug", 1)
    assert failover("check").status == 3, "a monitor must not read a broken check as a warning"


def test_ctrl_c_outside_a_run_says_what_is_next(
    failover: Failover, world: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr("failover.cli.look_commands.inspect.look", stopped)
    same("interrupted", failover("status").text())


def test_without_a_fleet_file(failover: Failover, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "fleet.yaml")
    same("no-fleet", failover("--fleet", nowhere, "status").text())
    assert failover("--fleet", nowhere, "check").status == 3


def test_init_then_validate_then_init_again(failover: Failover, tmp_path: Path) -> None:
    path = str(tmp_path / "fleet.yaml")
    same("init", failover("--fleet", path, "init", "--local", "--block", "200").text())
    assert (tmp_path / ".failover").stat().st_mode & 0o777 == 0o700
    assert all(
        one.stat().st_mode & 0o077 == 0 for one in (tmp_path / ".failover" / "trust").iterdir() if one.is_file()
    )
    same("validate", failover("--fleet", path, "validate").text())
    same("init-again", failover("--fleet", path, "init", "--local").text())
    same("init-not-local", failover("--fleet", str(tmp_path / "other.yaml"), "init").text())
    same("init-bad-block", failover("--fleet", str(tmp_path / "o.yaml"), "init", "--local", "--block", "250").text())


def test_init_with_stores_has_its_keys_beside_the_file_and_keeps_them(failover: Failover, tmp_path: Path) -> None:
    path, keys = tmp_path / "fleet.yaml", tmp_path / "keys"
    same("init-stores", failover("--fleet", str(path), "init", "--local", "--stores", "--block", "200").text())
    assert failover("--fleet", str(path), "validate").status == Exit.DONE
    assert keys.stat().st_mode & 0o777 == 0o700
    held = {key.name: key.read_text() for key in keys.iterdir()}
    assert list(map(len, (held, {line for text in held.values() for line in text.splitlines()}))) == [2, 4]
    assert all(key.stat().st_mode & 0o077 == 0 for key in keys.iterdir())
    text = path.read_text()
    assert "AGE-SECRET-KEY" not in text
    path.unlink()
    assert failover("--fleet", str(path), "init", "--local", "--stores", "--block", "200").status == Exit.DONE
    assert path.read_text() == text
    assert {key.name: key.read_text() for key in keys.iterdir()} == held


def test_validate_shows_every_problem(failover: Failover, tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text("fleet: demo\nprefered: alpha\n", encoding="utf-8")
    same("validate-broken", failover("--fleet", str(path), "validate").text())
    same("validate-broken-json", failover("--json", "--fleet", str(path), "validate").text())
    same("status-broken-file", failover("--fleet", str(path), "status").text())


def test_a_fleet_whose_trust_is_elsewhere(failover: Failover, tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    assert failover("--fleet", str(path), "init", "--local").status == Exit.DONE
    (tmp_path / ".failover" / "trust" / "operator.pem").unlink()
    same("no-trust", failover("--fleet", str(path), "status").text())


def test_global_options_may_stand_anywhere(failover: Failover, world: Memory) -> None:
    assert json.loads(failover("status", "--json").out)["fleet"] == "demo"
    assert failover("status", "--fleet").status == Exit.USAGE


def test_a_changed_fleet_shows_ages_and_unknowns(failover: Failover, world: Memory) -> None:
    world.hosts.states["beta"] = msgspec.structs.replace(agent("beta", record()), record_s_ago=42.0)
    world.hosts.silent.add("gamma")
    same("status-part", failover("status").text())


def test_unprotected_time_is_shown(failover: Failover, world: Memory) -> None:
    world.hosts.states["alpha"] = msgspec.structs.replace(agent("alpha", record()), unprotected_s=42.0)
    same("status-unprotected", failover("status").text())
