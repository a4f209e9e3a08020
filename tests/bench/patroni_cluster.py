"""Patroni's side of the comparison as processes: three etcd voters, two Patronis with PostgreSQL, HAProxy, the app.

Must never be here: what is measured (``patroni``), configuration texts (``patroni_texts``). A site is a folder whose
processes carry its mark, so that the same code that kills a site of ours kills one of these, and ends it all.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import resource
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType

import httpx
import msgspec
import psycopg

from failover.adapters.programs import AS_NOBODY, locate
from failover.agent.supervise import host_processes, stop_host
from failover.errors import Unreachable
from tests.bench import patroni_texts as texts

_PAUSE_S = 0.1


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One line of Patroni's ``/cluster``."""

    name: str
    role: str
    state: str

    @property
    def is_leader(self) -> bool:
        return self.role == "leader" and self.state == "running"

    @property
    def is_sync_standby(self) -> bool:
        return self.role in ("sync_standby", "quorum_standby") and self.state == "streaming"


class _Members(msgspec.Struct, frozen=True, kw_only=True):
    members: tuple[Member, ...]


class Killed(msgspec.Struct, frozen=True, kw_only=True):
    """CLOCK_BOOTTIME of the first signal, and of when the last process of the site was dead."""

    site: str
    begun_s: float
    complete_s: float


def boottime_s() -> float:
    """CLOCK_BOOTTIME, as in the ledger."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class PatroniCluster:
    """``with PatroniCluster(folder, strict=…)``: up, migrated and protected inside; nothing of it runs afterwards,
    whatever happened. Raises ``Unreachable`` with the end of the log when a part does not come up."""

    def __init__(self, folder: Path, *, strict: bool) -> None:
        if importlib.util.find_spec("patroni") is None or importlib.util.find_spec("etcd") is None:
            raise Unreachable("Patroni is not installed", hint="pip install 'patroni[etcd3]==4.1.5'")
        self._folders = {name: folder / name for name in (*texts.SITES, "front")}
        self._strict = strict
        self._started: dict[str, list[subprocess.Popen[bytes]]] = {name: [] for name in self._folders}
        self._rest = httpx.Client(timeout=2.0, trust_env=False)

    def __enter__(self) -> PatroniCluster:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every process of every site. Repeatable."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._rest.close)
            for name in self._folders:
                stack.callback(self._end, name)

    @property
    def target(self) -> str:
        """The app's base URL."""
        return f"http://{texts.FRONT}:{texts.FRONT_PORT}"

    def members(self) -> tuple[Member, ...]:
        """What the first Patroni that answers says; nothing while none does."""
        for site in texts.DATA_SITES:
            with contextlib.suppress(httpx.HTTPError, msgspec.MsgspecError):
                answer = self._rest.get(f"http://{texts.ADDRESSES[site]}:{texts.REST_PORT}/cluster")
                return msgspec.json.decode(answer.content, type=_Members).members
        return ()

    def leader(self) -> str:
        """The site of the primary. Raises ``Unreachable`` when there is none."""
        for member in self.members():
            if member.is_leader:
                return member.name
        raise Unreachable("Patroni has no leader")

    def protected(self) -> bool:
        """A running leader, and another site is its synchronous standby."""
        found = self.members()
        return any(member.is_leader for member in found) and any(member.is_sync_standby for member in found)

    def wait_protected(self, *, deadline_s: float = 90.0) -> float:
        """Blocks until then; returns that instant."""
        until(self.protected, deadline_s=deadline_s, what="a synchronous standby", log=self._folders["one"] / "log")
        return boottime_s()

    def switchover(self) -> str:
        """POST /switchover to the other site; returns its name once Patroni says that it leads."""
        old = self.leader()
        new = next(site for site in texts.DATA_SITES if site != old)
        url = f"http://{texts.ADDRESSES[old]}:{texts.REST_PORT}/switchover"
        answer = self._rest.post(url, json={"leader": old, "candidate": new}, timeout=60.0)
        if answer.status_code != httpx.codes.OK:
            raise Unreachable(f"Patroni's switchover: status {answer.status_code}, {answer.text.strip()}")
        return new

    def kill_primary(self) -> Killed:
        """At one instant its etcd voter, Patroni and PostgreSQL with every child are gone. Stopped first, as our drill
        does, so that nobody notices the death of another and says goodbye."""
        site = self.leader()
        victims = host_processes(self._folders[site])
        begun_s = boottime_s()
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in victims:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
        self._end(site)
        return Killed(site=site, begun_s=begun_s, complete_s=boottime_s())

    def give_back(self, site: str) -> None:
        """Its processes start again, the database on an empty disk: a fresh copy of so small a database is quicker
        than a rewind. The voter goes on with its log, as etcd demands."""
        shutil.rmtree(self._folders[site] / "postgres")
        self._start_etcd(site)
        self._start_patroni(site)

    def query(self, statement: str, parameters: Mapping[str, str]) -> list[str]:
        """First column of every row, at the primary."""
        with psycopg.connect(self._dsn(self.leader(), texts.DATABASE), autocommit=True) as connection:
            return [row[0] for row in connection.execute(statement.encode(), parameters).fetchall()]

    def _start(self) -> None:
        # Every request of an outage waits in a connection of its own; children inherit the limit.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        for name, folder in self._folders.items():
            folder.mkdir(mode=0o700)
            if name in texts.SITES:
                self._start_etcd(name)
        first, second = texts.DATA_SITES
        self._start_patroni(first)
        until(lambda: any(member.is_leader for member in self.members()), deadline_s=60, what="a primary",
              log=self._folders[first] / "log")  # fmt: skip
        self._start_patroni(second)
        self.wait_protected()
        self._start_front()

    def _start_etcd(self, site: str) -> None:
        self._spawn(site, texts.etcd_command(site))

    def _start_patroni(self, site: str) -> None:
        config = self._folders[site] / "patroni.yml"
        config.write_text(texts.patroni_config(site, folder=self._folders[site], strict=self._strict))
        prefix = AS_NOBODY if os.geteuid() == 0 else ()
        init = Path(__file__).with_name("patroni_init.py")
        self._spawn(site, [sys.executable, "-I", str(init), *prefix, sys.executable, "-m", "patroni", str(config)])

    def _start_front(self) -> None:
        folder = self._folders["front"]
        password = secrets.token_hex(16)
        with psycopg.connect(self._dsn(self.leader(), "postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {texts.APP_ROLE} LOGIN PASSWORD '{password}'".encode())
            connection.execute(f"CREATE DATABASE {texts.DATABASE} OWNER {texts.APP_ROLE}".encode())
        file = folder / "databases.json"
        file.touch(mode=0o600)
        file.write_text(texts.databases(password))
        (folder / "haproxy.cfg").write_text(texts.haproxy_config())
        program, extra = locate("haproxy")
        self._spawn("front", [program, "-db", "-f", "haproxy.cfg"], dict(extra))
        environment = texts.app_environment(os.environ, databases_file=file, media=folder / "media")
        migrate = [sys.executable, "-m", "infra.app.migrate"]
        until(lambda: self._run_in_front(migrate, environment) == 0, deadline_s=30, what="the schema",
              log=folder / "log")  # fmt: skip
        for port in texts.WEB_PORTS:
            listen = {"APP_LISTEN": f"{texts.FRONT}:{port}"}
            self._spawn("front", [sys.executable, "-m", "infra.app"], environment | listen)
        self._spawn("front", [sys.executable, "-m", "infra.app.worker"], environment)
        until(self._app_answers, deadline_s=30, what="the app", log=folder / "log")

    def _app_answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return self._rest.get(f"{self.target}/health").status_code == httpx.codes.OK
        return False

    def _dsn(self, site: str, database: str) -> str:
        return f"host={texts.ADDRESSES[site]} port={texts.POSTGRES_PORT} user=postgres dbname={database}"

    def _run_in_front(self, command: list[str], environment: Mapping[str, str]) -> int:
        process = self._spawn("front", command, environment)
        self._started["front"].remove(process)
        return process.wait(60)

    def _spawn(
        self, name: str, command: list[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        folder = self._folders[name]
        # The mark that kills and clean-ups look for; every child inherits it, also one that leaves its session.
        marked = {**os.environ, **(environment or {}), "FAILOVER_HOST_DIR": str(folder)}
        with (folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command, cwd=folder, env=marked, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self._started[name].append(process)
        return process

    def _end(self, name: str) -> None:
        stop_host(self._folders[name], timeout_s=10.0)
        while self._started[name]:
            self._started[name].pop().wait(10)


def until(check: Callable[[], bool], *, deadline_s: float, what: str, log: Path | None = None) -> None:
    """Blocks until ``check`` is true; ``Unreachable`` with the end of ``log`` after ``deadline_s``."""
    ends_s = boottime_s() + deadline_s
    while not check():
        if boottime_s() > ends_s:
            last = log.read_text(errors="replace")[-1500:] if log is not None and log.exists() else ""
            raise Unreachable(f"{what}: not within {deadline_s:g} s\n{last}", where=str(log or ""))
        time.sleep(_PAUSE_S)
