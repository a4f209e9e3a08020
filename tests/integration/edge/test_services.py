"""What a HostSpec says of etcd and PowerDNS, started for real: three voters with the fleet's certificates."""

from __future__ import annotations

import itertools
import json
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from failover.planner.hostspec import host_spec
from failover.trust.ca import Authority, new_key_pem, request_pem, write_private
from infra.local.plugin import zone
from tests.integration.edge.fleets import ZONE, secrets, three_sites
from tests.integration.edge.hosts import RunningHost, wait_for

_blocks = itertools.count(220)


class Voters:
    """Three hosts whose etcd runs; ``ask`` speaks to one voter's JSON gateway with a certificate of the fleet."""

    def __init__(self, hosts: list[RunningHost], trust: Path) -> None:
        self.hosts = hosts
        self.context = ssl.create_default_context(cafile=str(trust / "ca.pem"))
        self.context.load_cert_chain(trust / "operator.pem", trust / "operator.key")

    def url(self, index: int) -> str:
        return self.hosts[index].spec.record_endpoints[0]

    def ask(self, index: int, path: str, body: dict[str, object], *, timeout_s: float = 3.0) -> dict[str, object]:
        request = urllib.request.Request(self.url(index) + path, json.dumps(body).encode())
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self.context)
        )
        with opener.open(request, timeout=timeout_s) as answer:
            return dict(json.loads(answer.read()))

    def writes(self, index: int, value: str) -> bool:
        """True when a majority took it through this voter."""
        try:
            self.ask(index, "/v3/kv/put", {"key": "a2V5", "value": value})
        except (OSError, urllib.error.URLError):
            return False
        return True


@pytest.fixture
def voters(tmp_path: Path) -> Iterator[Voters]:
    fleet = three_sites(f"127.85.{next(_blocks)}")
    authority = Authority.create(tmp_path / "trust", fleet=fleet.name)
    authority.issue_operator()
    with ExitStack() as stack:
        hosts = []
        for site in fleet.sites:
            host = RunningHost(tmp_path / site.name, host_spec(fleet, site, secrets(), serial=1))
            stack.enter_context(host)
            key = new_key_pem()
            leaf = authority.issue(request_pem(key, common_name=site.name), common_name=site.name, address=site.address)
            write_private(host.folder / "trust" / "host.key", key)
            write_private(host.folder / "trust" / "host.pem", leaf)
            write_private(host.folder / "trust" / "ca.pem", authority.certificate_pem)
            hosts.append(host)
        for host in hosts:
            host.start("etcd", ready=False)
        yield Voters(hosts, tmp_path / "trust")


def test_three_voters_agree_and_two_go_on_without_the_third(voters: Voters) -> None:
    wait_for(lambda: voters.writes(0, "MQ=="), within_s=20)
    assert voters.ask(2, "/v3/kv/range", {"key": "a2V5"})["kvs"]
    voters.hosts[0].kill("etcd")
    wait_for(lambda: voters.writes(1, "Mg=="))
    voters.hosts[0].start("etcd")
    wait_for(lambda: voters.writes(0, "Mw=="))


def test_a_frozen_voter_stops_nobody_and_deposes_nobody_when_it_wakes(voters: Voters) -> None:
    wait_for(lambda: voters.writes(0, "MQ=="), within_s=20)
    leader = voters.ask(0, "/v3/maintenance/status", {})["leader"]
    ids = [voters.ask(index, "/v3/maintenance/status", {})["header"] for index in range(3)]
    follower = next(i for i, header in enumerate(ids) if isinstance(header, dict) and header["member_id"] != leader)
    other = (follower + 1) % 3
    voters.hosts[follower].signal("etcd", signal.SIGSTOP)
    time.sleep(1.5)
    assert voters.writes(other, "Mg==")
    voters.hosts[follower].signal("etcd", signal.SIGCONT)
    wait_for(lambda: voters.writes(follower, "Mw=="))
    assert voters.ask(other, "/v3/maintenance/status", {})["leader"] == leader


@pytest.mark.parametrize("port", [2379, 2380])
def test_who_has_no_certificate_of_the_fleet_learns_nothing(voters: Voters, port: int) -> None:
    wait_for(lambda: voters.writes(0, "MQ=="), within_s=20)
    address = voters.hosts[0].service("etcd").ready
    assert address is not None
    stranger = ssl.create_default_context()
    stranger.check_hostname = False
    stranger.verify_mode = ssl.CERT_NONE
    with pytest.raises((ssl.SSLError, ConnectionError)):
        _speak(stranger, address.address, port)


def _speak(context: ssl.SSLContext, address: str, port: int) -> bytes:
    with socket.create_connection((address, port), timeout=5) as plain, context.wrap_socket(plain) as wrapped:
        wrapped.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
        # TLS 1.3 tells a client without certificate only here.
        return wrapped.recv(1)


def test_no_password_is_seen_in_what_runs(tmp_path: Path) -> None:
    fleet = three_sites(f"127.85.{next(_blocks)}")
    site = fleet.site("alpha")
    with RunningHost(tmp_path, host_spec(fleet, site, secrets(), serial=1)) as host:
        zone.create(host.folder, zone=ZONE, site=site.name, address=site.address)
        host.start("dns")
        host.start("edge")
        for process in host.processes.values():
            proc = Path("/proc") / str(process.pid)
            shown = (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
            assert b"dns-key" not in shown
            assert b"p%40ss" not in shown
        private = [host.folder / file.path for one in host.spec.services for file in one.files if one.name == "dns"]
        assert [path.stat().st_mode & 0o777 for path in private] == [0o600]


def test_powerdns_answers_its_own_zone_only_with_its_key(tmp_path: Path) -> None:
    fleet = three_sites(f"127.85.{next(_blocks)}")
    site = fleet.site("alpha")
    with RunningHost(tmp_path, host_spec(fleet, site, secrets(), serial=1)) as host:
        zone.create(host.folder, zone=ZONE, site=site.name, address=site.address)
        host.start("dns")
        url = f"http://{site.address}:{site.ports.dns_api}/api/v1/servers/localhost/zones"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with pytest.raises(urllib.error.HTTPError) as caught:
            opener.open(url, timeout=5)
        assert caught.value.code == 401
        asked = urllib.request.Request(url, headers={"X-API-Key": "dns-key-alpha"})
        with opener.open(asked, timeout=5) as answer:
            assert [found["name"] for found in json.loads(answer.read())] == [f"{ZONE}."]


def test_powerdns_without_its_zone_ends_and_makes_no_file(tmp_path: Path) -> None:
    fleet = three_sites(f"127.85.{next(_blocks)}")
    with RunningHost(tmp_path, host_spec(fleet, fleet.site("alpha"), secrets(), serial=1)) as host:
        host.start("dns", ready=False)
        assert host.processes["dns"].wait(timeout=10) != 0
        assert not zone.database(host.folder).exists()
        zone.create(host.folder, zone=ZONE, site="alpha", address=fleet.site("alpha").address)
        host.start("dns")
