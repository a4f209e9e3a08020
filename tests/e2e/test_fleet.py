"""What holds a deployed fleet together: nothing is made twice, nothing bounces, strangers learn nothing."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import time
from pathlib import Path

import pytest

from failover.adapters.measure import PostgresMeasure
from failover.agent.supervise import stop_host
from failover.cli.options import Options
from failover.cli.wiring import wire
from failover.config.fleet import load_fleet
from failover.load.check import compare
from failover.load.ledger import read_ledger
from tests.e2e.crash_points import agent_pid
from tests.e2e.harness import LocalFleet

pytestmark = pytest.mark.e2e


def options(fleet: LocalFleet) -> Options:
    return Options(fleet=fleet.file, json=False, verbose=False, colour=False)


def pids(fleet: LocalFleet, site: str) -> dict[str, int]:
    """Every service of the site and PostgreSQL, by pid."""
    wired = wire(options(fleet))
    try:
        found = {service.name: service.pid for service in wired.hosts.state(site, deadline_s=5.0).services}
    finally:
        wired.close()
    lines = (fleet.host_dir(site) / "postgres" / "postmaster.pid").read_text().splitlines()
    return {**found, "postgres": int(lines[0])}


@pytest.mark.timeout(300)
def test_a_second_deploy_changes_nothing_and_says_so(protected: LocalFleet) -> None:
    before = {site: pids(protected, site) for site in ("alpha", "beta")}
    ran = protected.run("--json", "deploy", "--yes")
    assert not [s for s in ran.json["steps"] if "resources changed" in s["detail"] and not s["detail"].startswith("0 ")]
    assert {site: pids(protected, site) for site in ("alpha", "beta")} == before


@pytest.mark.timeout(240)
def test_a_killed_agent_comes_back_and_adopts_what_runs(protected: LocalFleet) -> None:
    for site in ("alpha", "beta"):
        before, agent = pids(protected, site), agent_pid(protected, site)
        os.kill(agent, signal.SIGKILL)
        end = time.monotonic() + 60
        while agent_pid(protected, site) in (agent, 0):
            assert time.monotonic() < end, "the agent was not started again"
            time.sleep(0.05)
        protected.wait_protected()
        assert pids(protected, site) == before


@pytest.mark.timeout(120)
def test_a_request_without_a_valid_certificate_learns_nothing(protected: LocalFleet) -> None:
    address = load_fleet(protected.file).site("alpha").address
    context = ssl.create_default_context(cafile=str(protected.state / "trust" / "ca.pem"))
    with pytest.raises((ssl.SSLError, ConnectionError)):  # noqa: PT012 - TLS 1.3 tells the client at its first read
        raw = socket.create_connection((address, 7443), timeout=5)
        with context.wrap_socket(raw, server_hostname=address) as secured:
            secured.sendall(b"GET /v1/state HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = secured.recv(4096)
            assert answer == b"", f"an answer without a certificate: {answer!r}"
            raise ConnectionError("closed without a word")


@pytest.mark.timeout(300)
def test_a_changed_service_is_restarted_and_postgresql_is_not_touched(protected: LocalFleet) -> None:
    before = pids(protected, "alpha")
    text = protected.file.read_text()
    changed = text.replace("command: [python, -m, infra.app.worker]", "command: [python, -u, -m, infra.app.worker]")
    assert changed != text
    try:
        protected.file.write_text(changed)
        protected.deploy()
        end = time.monotonic() + 60
        while (after := pids(protected, "alpha"))["worker"] in (before["worker"], 0):
            assert time.monotonic() < end, "the worker was not restarted"
            time.sleep(0.1)
        assert {**after, "worker": 0} == {**before, "worker": 0}
    finally:
        protected.file.write_text(text)
        protected.deploy()


@pytest.mark.timeout(300)
def test_a_changed_postgresql_setting_is_in_force_without_a_restart(protected: LocalFleet) -> None:
    before = {site: pids(protected, site)["postgres"] for site in ("alpha", "beta")}
    text = protected.file.read_text()
    assert "\n  settings: {}" in text
    wired = wire(options(protected))
    try:
        protected.file.write_text(text.replace("\n  settings: {}", "\n  settings: {work_mem: 7MB}"))
        protected.deploy()
        end = time.monotonic() + 60
        for site in ("alpha", "beta"):
            while wired.measure.column(site, "show work_mem", {}) != ["7MB"]:
                assert time.monotonic() < end, f"the setting is not in force at {site}"
                time.sleep(0.1)
        assert {site: pids(protected, site)["postgres"] for site in ("alpha", "beta")} == before
    finally:
        wired.close()
        protected.file.write_text(text)
        protected.deploy()


@pytest.mark.timeout(300)
def test_a_dead_host_is_found_and_repaired_with_its_data(protected: LocalFleet) -> None:
    members = {site: (protected.host_dir(site) / "member").read_text() for site in ("alpha", "beta")}
    standby = protected.status()["record"]["sync"][0].split("_")[0]
    stop_host(protected.host_dir(standby))
    protected.deploy()
    protected.wait_protected()
    assert (protected.host_dir(standby) / "member").read_text() == members[standby]


@pytest.mark.timeout(300)
def test_the_checker_finds_rows_that_are_gone(protected: LocalFleet) -> None:
    """Negative control: a checker that cannot fail proves nothing."""
    primary = protected.status()["record"]["primary"].split("_")[0]
    report = protected.drill("switchover", "beta" if primary == "alpha" else "alpha", rate=60, seconds=5.0)
    ledger = read_ledger(protected.state / "reports" / report["id"] / "ledger.jsonl.zst")
    wired = wire(options(protected))
    try:
        measure = PostgresMeasure(wired.fleet, password=wired.secrets.keeper_password, role="keeper")
        site, prefix = report["primary"]["after"], {"prefix": f"{ledger.head.run}.w"}
        some = "client_id in (select client_id from posts where starts_with(client_id, %(prefix)s) order by 1 limit 3)"
        gone = measure.column(site, f"delete from posts where {some} returning client_id", prefix)
        rows = measure.column(site, "select client_id from posts where starts_with(client_id, %(prefix)s)", prefix)
    finally:
        wired.close()
    assert len(gone) == 3
    assert compare(ledger, rows).lost == tuple(sorted(gone))


def test_no_secret_is_in_a_process_list_or_a_log(protected: LocalFleet) -> None:
    names = ("app_password", "replication_password", "keeper_password", "pulumi_passphrase", "bootstrap_token.alpha")
    secrets = [(protected.state / "trust" / name).read_text().strip().encode() for name in names]
    places = [Path(f"/proc/{pid}/cmdline") for found in protected.processes().values() for pid in found]
    places += sorted(protected.state.glob("sites/*/log/*.log")) + sorted(protected.state.glob("reports/*/*"))
    places += sorted((protected.state / "pulumi").rglob("*.json"))
    for place in places:
        try:
            content = place.read_bytes()
        except (FileNotFoundError, ProcessLookupError, IsADirectoryError):
            continue
        assert not [name for name, secret in zip(names, secrets, strict=True) if secret in content], place
