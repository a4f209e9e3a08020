"""Real parts for the load tests: the misbehaving app's process, PowerDNS, a workload. All on 127.84.0.x."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import dns.exception
import dns.message
import dns.query
import dns.rdatatype

from failover.load.workload import HttpRequest, Login, Read, ReadBack, ServedBy, Workload, Write

ROOT = Path(__file__).parents[3]
NAME = "app.load.test"
PORT = 18080
DNS_PORT = 15300
SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")


class Running:
    """A process that is killed when its block ends, also when the test failed."""

    def __init__(self, argv: list[str], log: Path) -> None:
        self._log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(argv, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def until(self, ready: object, what: str) -> None:
        ends = time.monotonic() + 60
        while not ready():  # type: ignore[operator]
            assert self.process.poll() is None, f"{what} ended: {self._log.read_text()[-800:]}"
            assert time.monotonic() < ends, f"{what} did not come up: {self._log.read_text()[-800:]}"
            time.sleep(0.02)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


def accepts(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=0.2).close()
    except OSError:
        return False
    return True


class App(Running):
    """The app of ``app.py`` at one address."""

    def __init__(self, folder: Path, host: str, *, name: str = "alpha", port: int = PORT) -> None:
        self.host, self.port = host, port
        argv = [sys.executable, str(Path(__file__).with_name("app.py")), host, str(port), name]
        super().__init__(argv, folder / f"app-{host}.log")
        self.until(lambda: accepts(host, port), "the app")

    def ask(self, method: str, path: str, body: object = None) -> dict[str, list[str]]:
        connection = http.client.HTTPConnection(self.host, self.port, timeout=10)
        try:
            connection.request(method, path, body=json.dumps(body), headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.status
            found: dict[str, list[str]] = json.loads(answer.read())
            return found
        finally:
            connection.close()

    def behave(self, mode: str) -> None:
        self.ask("POST", "/behave", {"mode": mode})

    def rows(self) -> list[str]:
        return self.ask("GET", "/rows")["rows"]


class Dns(Running):
    """A real PowerDNS authoritative server with one A record set, changed in its database."""

    def __init__(self, folder: Path, host: str, *, addresses: list[str], ttl_s: int) -> None:
        self.host, self._ttl_s = host, ttl_s
        inside = folder / f"dns-{host}"
        inside.mkdir()
        (inside / "pdns.conf").write_text("")
        self._database = inside / "zone.sqlite3"
        with contextlib.closing(sqlite3.connect(self._database)) as database, database:
            database.executescript(SCHEMA.read_text())
            database.execute("INSERT INTO domains (id, name, type) VALUES (1, 'load.test', 'NATIVE')")
            soa = "ns.load.test admin.load.test 1 60 60 60 60"
            self._insert(database, "load.test", "SOA", soa)
            self._insert(database, "load.test", "NS", "ns.load.test")
        self._write(addresses)
        binary = shutil.which("pdns_server", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert binary is not None, "PowerDNS is missing: apt-get install pdns-server pdns-backend-sqlite3"
        argv = [
            binary, f"--config-dir={inside}", "--launch=gsqlite3", f"--gsqlite3-database={self._database}",
            f"--local-address={host}", f"--local-port={DNS_PORT}", f"--socket-dir={inside}", "--daemon=no",
            "--guardian=no", "--write-pid=no", "--cache-ttl=0", "--query-cache-ttl=0", "--negquery-cache-ttl=0",
            "--zone-cache-refresh-interval=0", "--zone-metadata-cache-ttl=0", "--disable-syslog",
            "--version-string=anonymous", "--security-poll-suffix=",
        ]  # fmt: skip
        super().__init__(argv, folder / f"dns-{host}.log")
        self.until(lambda: self.answers() == sorted(addresses), "PowerDNS")

    @property
    def server(self) -> str:
        return f"{self.host}:{DNS_PORT}"

    def _insert(self, database: sqlite3.Connection, name: str, kind: str, content: str) -> None:
        columns = "domain_id, name, type, content, ttl, disabled, auth"
        statement = f"INSERT INTO records ({columns}) VALUES (1, ?, ?, ?, ?, 0, 1)"
        database.execute(statement, (name, kind, content, self._ttl_s))

    def _write(self, addresses: list[str]) -> None:
        with contextlib.closing(sqlite3.connect(self._database)) as database, database:
            database.execute("DELETE FROM records WHERE name = ?", (NAME,))
            for address in addresses:
                self._insert(database, NAME, "A", address)

    def answers(self) -> list[str]:
        query = dns.message.make_query(NAME, dns.rdatatype.A)
        try:
            response = dns.query.udp(query, self.host, port=DNS_PORT, timeout=0.2)
        except (dns.exception.Timeout, OSError):
            return []
        return sorted(record.address for rrset in response.answer for record in rrset)

    def change(self, addresses: list[str]) -> None:
        """Serve other addresses; returns once the server does."""
        self._write(addresses)
        self.until(lambda: self.answers() == sorted(addresses), "the new records")


def workload(*, idempotent: bool = True, clients: int = 4) -> Workload:
    """Drives ``app.py``."""
    headers = {"Authorization": "Bearer {token}"}
    if idempotent:
        headers["Idempotency-Key"] = "{id}"
    return Workload(
        name="misbehaving app",
        clients=clients,
        login=(
            Login(
                request=HttpRequest(
                    method="POST", path="/login", body='{"who": "{client}"}', json_body=True, accept=(200,)
                ),
                keep={"token": "json:deep.0.token"},
            ),
        ),
        write=Write(
            request=HttpRequest(
                method="POST", path="/writes", headers=headers, body='{"id": "{id}"}', json_body=True, accept=(201,)
            ),
            idempotent=idempotent,
        ),
        reads=(Read(request=HttpRequest(method="GET", path="/reads", accept=(200,))),),
        served_by=ServedBy(site_header="x-site", epoch_header="x-epoch"),
        read_back=ReadBack(sql="SELECT note FROM notes WHERE starts_with(note, %(prefix)s)"),
    )
