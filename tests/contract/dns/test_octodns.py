"""What octoDNS in a process of its own adds to the port's promises, against real PowerDNS and against bad servers."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from failover.adapters.dns_octodns import DnsServer, OctoDns
from failover.errors import FailoverError, OutcomeUnknown, Unreachable
from failover.model.secret import Secret
from failover.ports.dns import DnsChange, NameSet
from tests.contract.dns.worlds import PowerDnsWorld
from tests.integration.edge.fleets import NAME, ZONE

A, B = "203.0.113.1", "203.0.113.2"
WANTED = NameSet(zone=ZONE, ttl_s=5, addresses={NAME: (A, B), f"primary.{NAME}": (A,)})
KEY = "the-key-nobody-may-see"


def test_every_other_record_stays(real: PowerDnsWorld) -> None:
    others = [
        ("mail." + ZONE, "A", "203.0.113.9"),
        (ZONE, "TXT", '"v=spf1 -all; really"'),
        (ZONE, "CAA", '0 issue "ca.example"'),
        ("_acme-challenge." + NAME, "CNAME", "www.acme.example"),
        (NAME, "TXT", '"a note"'),
        ("sub." + ZONE, "NS", "ns.elsewhere.example"),
        ("_sip._tcp." + ZONE, "SRV", "10 60 5060 sip.app.test"),
    ]
    for record in others:
        real.add("alpha", *record)
    before = real.records("alpha")
    real.dns.apply("alpha", WANTED, deadline_s=10)
    ours = {(NAME, "A", A), (NAME, "A", B), (f"primary.{NAME}", "A", A)}
    assert real.records("alpha") == before | ours


def test_what_led_elsewhere_at_our_names_goes(real: PowerDnsWorld) -> None:
    real.add("alpha", NAME, "AAAA", "2001:db8::1")
    real.add("alpha", f"primary.{NAME}", "CNAME", "old.provider.example")
    real.dns.apply("alpha", WANTED, deadline_s=10)
    kinds = {(name, kind) for name, kind, _ in real.records("alpha") if NAME in name}
    assert kinds == {(NAME, "A"), (f"primary.{NAME}", "A")}


def test_a_change_raises_the_serial_and_no_change_does_not(real: PowerDnsWorld) -> None:
    first = real.serial("alpha")
    real.dns.apply("alpha", WANTED, deadline_s=10)
    second = real.serial("alpha")
    real.dns.apply("alpha", WANTED, deadline_s=10)
    real.dns.plan("alpha", NameSet(zone=ZONE, ttl_s=5, addresses={NAME: (B,)}), deadline_s=10)
    assert first < second == real.serial("alpha")


def test_the_name_may_be_the_zone_itself(real: PowerDnsWorld) -> None:
    change = real.dns.apply("alpha", NameSet(zone=ZONE, ttl_s=5, addresses={ZONE: (A,)}), deadline_s=10)
    assert change == (DnsChange(name=ZONE, before=(), after=(A,)),)
    assert (ZONE, "NS", f"ns-alpha.{ZONE}") in real.records("alpha")


def test_an_answer_too_long_for_a_datagram_is_read_whole(real: PowerDnsWorld) -> None:
    many = tuple(sorted(f"203.0.{third}.{last}" for third in (113, 114) for last in range(1, 100)))
    real.dns.apply("alpha", NameSet(zone=ZONE, ttl_s=5, addresses={NAME: many}), deadline_s=10)
    assert real.dns.served("alpha", (NAME,), deadline_s=5) == {NAME: many}


def test_another_zones_name_is_not_answered_for(real: PowerDnsWorld) -> None:
    with pytest.raises(Unreachable, match="REFUSED"):
        real.dns.served("alpha", ("www.elsewhere.example",), deadline_s=5)


def test_the_answer_is_new_as_soon_as_apply_returns(real: PowerDnsWorld) -> None:
    for number in range(1, 6):
        address = f"203.0.113.{number}"
        real.dns.apply("alpha", NameSet(zone=ZONE, ttl_s=5, addresses={NAME: (address,)}), deadline_s=10)
        assert real.dns.served("alpha", (NAME,), deadline_s=5) == {NAME: (address,)}


class BadServer:
    """Speaks like PowerDNS until it shall not. ``on``: method -> "zone" | "silent" | "close" | "500" | "garbage"."""

    def __init__(self, **on: str) -> None:
        self.on = on
        self.heard: list[str] = []
        self._listener = socket.create_server(("127.85.200.1", 0))
        self._talks: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        self.dns = OctoDns({"alpha": DnsServer(
            address="127.85.200.1", port=1, api_port=self._listener.getsockname()[1], api_key=Secret(KEY),
        )})  # fmt: skip

    def close(self) -> None:
        for each in (self._listener, *self._talks):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._thread.join(timeout=5)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                talk, _ = self._listener.accept()
                self._talks.append(talk)
                threading.Thread(target=self._serve, args=(talk,), daemon=True).start()

    def _serve(self, talk: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                method = talk.recv(65536).decode(errors="replace").partition(" ")[0]
                if not method:
                    return
                if method not in ("GET", "PATCH", "POST", "PUT", "DELETE"):
                    continue  # the rest of a request that came in two pieces
                self.heard.append(method)
                match self.on.get(method, "close"):
                    case "silent":
                        continue
                    case "close":
                        talk.shutdown(socket.SHUT_RDWR)
                        return
                    case "500":
                        talk.sendall(b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}")
                    case "garbage":
                        talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<htm>")
                    case _:
                        body = json.dumps({"rrsets": []}).encode()
                        talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


@contextlib.contextmanager
def bad_server(**on: str) -> Iterator[BadServer]:
    server = BadServer(**on)
    try:
        yield server
    finally:
        server.close()


@pytest.mark.parametrize("end", ["silent", "close", "500"])
def test_a_change_that_was_sent_and_not_answered_is_unknown(end: str) -> None:
    with bad_server(GET="zone", PATCH=end) as server:
        begun = time.monotonic()
        with pytest.raises(OutcomeUnknown):
            server.dns.apply("alpha", WANTED, deadline_s=6)
        assert time.monotonic() - begun < 7
        # Sent once: nothing in between may send it again.
        assert server.heard == ["GET", "PATCH"]


@pytest.mark.parametrize("end", ["silent", "close", "500", "garbage"])
def test_a_look_that_fails_is_never_an_unknown_change(end: str) -> None:
    with bad_server(GET=end) as server:
        for call in (server.dns.plan, server.dns.apply):
            with pytest.raises(Unreachable) as caught:
                call("alpha", WANTED, deadline_s=3)
            assert not isinstance(caught.value, OutcomeUnknown)
        assert "PATCH" not in server.heard


@pytest.mark.parametrize("end", ["silent", "close", "500", "garbage"])
def test_no_error_shows_the_key(end: str) -> None:
    with bad_server(GET=end) as server, pytest.raises(FailoverError) as caught:
        server.dns.plan("alpha", WANTED, deadline_s=2)
    cause = caught.value.__cause__
    assert KEY not in f"{caught.value!r} {caught.value} {caught.value.hint} {cause!r} {vars(caught.value)}"


def children() -> set[int]:
    """Of every thread: the process is a child of the one that called."""
    tasks = Path("/proc/self/task").glob("*/children")
    return {int(pid) for task in tasks for pid in task.read_text().split()}


def test_the_process_is_gone_at_the_deadline_and_never_shows_the_key() -> None:
    with bad_server(GET="silent") as server:
        before, shown = children(), b""
        calling = threading.Thread(target=_fails, args=(server.dns,))
        calling.start()
        while calling.is_alive():
            for pid in children() - before:
                with contextlib.suppress(OSError):
                    shown += Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
            time.sleep(0.02)
        assert b"dns_octodns_child" in shown
        assert KEY.encode() not in shown
        assert children() == before


def _fails(dns: OctoDns) -> None:
    with contextlib.suppress(Unreachable):
        dns.plan("alpha", WANTED, deadline_s=1.5)


def test_the_current_folder_has_no_say_in_what_is_imported(
    real: PowerDnsWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json.py", "requests.py", "octodns.py"):
        (tmp_path / name).write_text("raise SystemExit(7)\n")
    monkeypatch.chdir(tmp_path)
    assert len(real.dns.apply("alpha", WANTED, deadline_s=10)) == 2
