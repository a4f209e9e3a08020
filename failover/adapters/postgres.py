"""The PostgreSQL of one host: its files, its process, its changes of role. Implements ``ports.database.Database``.

Only programs of PostgreSQL itself touch the data directory. The member id, the configuration and the passwords live
beside it, so that no backup or rewind carries them to another copy (safety B1, C4).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from failover.adapters import postgres_config as texts
from failover.adapters.postgres_seed import SeedMixin
from failover.adapters.postgres_sql import KeeperSession, Seen
from failover.errors import Unreachable
from failover.model.observation import DatabaseFacts
from failover.model.record import Timeline
from failover.model.spec import DatabaseSpec
from failover.model.units import Lsn, MemberId, format_lsn, parse_lsn
from failover.ports.database import Upstream
from failover.ports.processes import Handle, Processes

_START_S = 20.0


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LocalPostgres(SeedMixin):
    """One data directory below ``host_dir`` and the server on it."""

    def __init__(
        self, *, host_dir: Path, site: str, address: str, spec: DatabaseSpec, peers: Sequence[str], processes: Processes
    ) -> None:
        self.host_dir = host_dir
        self.data = host_dir / "postgres"
        self.site = site
        self.address = address
        self.spec = spec
        self.processes = processes
        self.passfile = host_dir / "run" / "pgpass"
        self._peers = tuple(peers)
        self._member_file = host_dir / "member"
        self._config = host_dir / "postgresql.conf"
        self._access = host_dir / "pg_hba.conf"
        self._log = host_dir / "log" / "postgres.log"
        self.session = KeeperSession(address=address, port=spec.port, passfile=str(self.passfile))
        self._names: tuple[str, ...] = ()
        self._proven: tuple[tuple[str, ...], Handle] | None = None
        self._upstream: Upstream | None = None
        self._control: tuple[int, dict[str, str]] = (0, {})
        self._forks: dict[int, Lsn] = {}
        self._write_fixed_files()

    # --- facts -----------------------------------------------------------------------------------------------------

    @property
    def member(self) -> str:
        """The id of the copy here, or ``""``."""
        return self._member_file.read_text().strip() if self._member_file.exists() else ""

    def handle(self) -> Handle | None:
        """The running postmaster of this very data directory, or ``None``."""
        try:
            pid = int((self.data / "postmaster.pid").read_text().split("\n", 1)[0])
            arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError, ValueError):
            return None
        found = self.processes.adopt(pid) if str(self.data).encode() in arguments.split(b"\0") else None
        return found if found is not None and self.processes.alive(found) else None

    async def facts(self) -> DatabaseFacts:
        """See the port."""
        if not (self.data / "PG_VERSION").exists():
            return DatabaseFacts(state="absent")
        handle = self.handle()
        if handle is None:
            return await self._stopped_facts()
        try:
            seen = await self.session.facts()
        except Unreachable:
            return DatabaseFacts(state="starting", member=self.member)
        return self._running_facts(seen, handle)

    def _running_facts(self, seen: Seen, handle: Handle) -> DatabaseFacts:
        self._adopt_settings(seen)
        proven = self._proven[0] if self._proven is not None and self._proven[1] == handle else None
        return DatabaseFacts(
            state="standby" if seen.recovering else "primary",
            member=self.member,
            system_identifier=seen.system_identifier,
            timeline=seen.timeline,
            fork_lsn=0 if seen.recovering else self._fork_of(seen.timeline),
            position=seen.position,
            replayed=seen.replayed,
            flushed=min((replica.flush_lsn for replica in seen.replicas), default=0),
            upstream=self._upstream.site if self._upstream else "",
            streaming=seen.streaming,
            names=self._names,
            names_proven=proven,
            replicas=seen.replicas,
            open_writes=seen.open_writes,
        )

    def _adopt_settings(self, seen: Seen) -> None:
        """A new agent beside a running server learns its names and upstream from the server itself."""
        inner = seen.names.partition("(")[2].rpartition(")")[0]
        self._names = tuple(name.strip() for name in inner.split(",") if name.strip())
        pairs = dict(part.split("=", 1) for part in seen.conninfo.split() if "=" in part)
        if pairs.get("host"):
            address, port = pairs["host"], int(pairs.get("port", self.spec.port))
            known = self._upstream
            if known is None or (known.address, known.port) != (address, port):
                self._upstream = Upstream(site=self._site_at(address, port), address=address, port=port)
        else:
            self._upstream = None

    def _site_at(self, address: str, port: int) -> str:
        for peer in self._peers:
            site, _, place = peer.partition("=")
            if place == f"{address}:{port}":
                return site
        return ""

    def _fork_of(self, timeline: int) -> Lsn:
        if timeline not in self._forks:
            path = self.data / "pg_wal" / f"{timeline:08X}.history"
            lines = [line.split("\t") for line in path.read_text().splitlines() if line] if path.exists() else []
            self._forks[timeline] = parse_lsn(lines[-1][1]) if lines else 0
        return self._forks[timeline]

    async def control(self) -> dict[str, str]:
        """``pg_controldata``, read again only when the control file changed."""
        changed = (self.data / "global" / "pg_control").stat().st_mtime_ns
        if self._control[0] != changed:
            done = await asyncio.to_thread(
                self.processes.run,
                ("pg_controldata", "-D", str(self.data)),
                environment={"LC_ALL": "C"},
                deadline_s=5.0,
            )
            self._control = (changed, dict(texts.control_values(done.output)))
        return self._control[1]

    async def _stopped_facts(self) -> DatabaseFacts:
        values = await self.control()
        state = values.get("Database cluster state", "")
        timelines = (
            values.get("Latest checkpoint's TimeLineID", "0"),
            values.get("Min recovery ending loc's timeline", "0"),
        )
        return DatabaseFacts(
            state="stopped",
            member=self.member,
            system_identifier=values.get("Database system identifier", ""),
            timeline=max(int(text) for text in timelines),
            names=self._names,
            # A base backup carries the control file of the primary it was taken from until its first start.
            was_primary=not (self.data / "backup_label").exists()
            and ("recovery" not in state or state == "in crash recovery"),
            clean_shutdown=state == "shut down",
            checkpoint_lsn=parse_lsn(values.get("Latest checkpoint location", "0/0")),
        )

    # --- life ------------------------------------------------------------------------------------------------------

    async def create(self, member: MemberId) -> None:
        """See the port."""
        if self.data.exists():
            raise Unreachable(f"{self.data} exists already: nothing is ever created over it")
        fresh = self.data.with_name("postgres.new")
        await asyncio.to_thread(shutil.rmtree, fresh, True)
        passwords = self.host_dir / "run" / "initdb-password"
        self.write_file(passwords, self.spec.keeper_password + "\n")
        try:
            await self.program(
                "initdb", "-D", str(fresh), f"--username={texts.KEEPER_ROLE}", f"--pwfile={passwords}", "--auth=scram-sha-256",
                "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
            )  # fmt: skip
            await self.program(
                "postgres", "--single", "-D", str(fresh), "-c", "log_statement=none", "postgres",
                stdin=texts.first_statements(self.spec).encode(),
            )  # fmt: skip
        finally:
            passwords.unlink(missing_ok=True)
        self.put_member(member)
        self.signal_standby(fresh)
        fresh.rename(self.data)

    async def start_primary(self, names: Sequence[str]) -> None:
        """See the port."""
        self._names = tuple(names)
        self._upstream = None
        self._write_config("latest")
        (self.data / "standby.signal").unlink(missing_ok=True)
        try:
            await self._start()
        finally:
            self.signal_standby(self.data)

    async def start_standby(self, upstream: Upstream | None, names: Sequence[str]) -> None:
        """See the port."""
        self._names = tuple(names)
        self._upstream = upstream
        self._write_config("latest")
        self.signal_standby(self.data)
        await self._start()

    async def _start(self) -> None:
        """Start and wait until connections are taken. Kill -9 leaves backends and shared memory behind: reap and try
        again (safety F3)."""
        self._write_fixed_files()
        for attempt in range(4):
            self._kill_strays()
            (self.data / "postgresql.auto.conf").write_text("# not used: settings come from the keeper\n")
            command = (
                "postgres",
                "-D",
                str(self.data),
                "-c",
                f"config_file={self._config}",
                "-c",
                f"hba_file={self._access}",
            )
            handle = self.processes.start(command, environment={"LC_ALL": "C"}, log=self._log, as_database=True)
            if await self._await_ready(handle):
                return
            await asyncio.sleep(0.1 * (attempt + 1))
        raise Unreachable("PostgreSQL does not start", hint=f"its own words are in {self._log}")

    async def _await_ready(self, handle: Handle) -> bool:
        end = _boot_s() + _START_S
        path = self.data / "postmaster.pid"
        while _boot_s() < end:
            with contextlib.suppress(FileNotFoundError):
                lines = path.read_text().split("\n")
                if lines[0] == str(handle.pid) and len(lines) > 7 and lines[7].strip() in ("ready", "standby"):
                    return True
            if not self.processes.alive(handle):
                return False
            await asyncio.sleep(0.003)
        await asyncio.to_thread(self.processes.stop, handle, number=signal.SIGQUIT, timeout_s=2.0)
        return False

    def _kill_strays(self) -> None:
        """Backends of a killed postmaster work in the data directory; the next start refuses beside them."""
        for entry in os.scandir("/proc"):
            if entry.name.isdigit():
                try:
                    if os.readlink(f"{entry.path}/cwd") == str(self.data) and int(entry.name) != os.getpid():
                        os.kill(int(entry.name), signal.SIGKILL)
                except (FileNotFoundError, ProcessLookupError, PermissionError):
                    continue

    async def stop(self, *, clean: bool, budget_s: float) -> bool:
        """See the port."""
        handle = self.handle()
        if handle is None:
            return True
        self._proven = None
        await self.session.close()
        number = signal.SIGINT if clean else signal.SIGQUIT
        return await asyncio.to_thread(self.processes.stop, handle, number=number, timeout_s=budget_s)

    # --- changes while it runs -------------------------------------------------------------------------------------

    async def set_names(self, names: Sequence[str]) -> None:
        """See the port."""
        self._names = tuple(names)
        self._proven = None
        self._reload()

    async def follow(self, upstream: Upstream) -> None:
        """See the port."""
        self._upstream = upstream
        self._reload()

    def _reload(self) -> None:
        self._write_config("latest")
        handle = self.handle()
        if handle is not None:
            self.processes.signal(handle, signal.SIGHUP)

    async def prove_names(self, names: Sequence[str]) -> Lsn:
        """See the port."""
        handle = self.handle()
        position = await self.session.prove_names(names)
        if handle is None or self.handle() != handle:
            raise Unreachable("PostgreSQL was restarted while its names were being proven")
        self._proven = (tuple(names), handle)
        return position

    async def promote(self, timelines: Sequence[Timeline]) -> None:
        """See the port."""
        seen = await self.session.facts()
        unknown = [line for line in timelines[:-1] if line.tli > seen.timeline]
        if unknown:
            await self._restart_on_current(timelines[:-1])
        await self.session.end_sessions()
        await self.session.rows("select pg_promote(false)")
        end = _boot_s() + _START_S
        while (await self.session.rows("select pg_is_in_recovery()"))[0][0]:
            if _boot_s() > end:
                raise Unreachable("the promotion does not end", hint=f"its own words are in {self._log}")
            await asyncio.sleep(0.002)
        self._upstream = None
        self.signal_standby(self.data)
        self._write_config("latest")

    async def _restart_on_current(self, parents: Sequence[Timeline]) -> None:
        """This copy never followed the newest timeline: it must know of it, or it would give its number twice (C5)."""
        await self.stop(clean=True, budget_s=5.0)
        for index, line in enumerate(parents):
            path = self.data / "pg_wal" / f"{line.tli:08X}.history"
            if line.tli > 1 and not path.exists():
                before = [(old.tli, format_lsn(parents[i + 1].fork_lsn)) for i, old in enumerate(parents[:index])]
                path.write_text(texts.history_file(before))
        self._upstream = None
        self._write_config("current")
        self.signal_standby(self.data)
        await self._start()

    async def heartbeat(self) -> Lsn:
        """See the port."""
        return await self.session.heartbeat()

    async def ensure_slots(self, members: Sequence[str]) -> None:
        """See the port."""
        await self.session.ensure_slots(members)

    async def checkpoint(self) -> None:
        """See the port."""
        await self.session.rows("CHECKPOINT", deadline_s=30.0)

    async def end_strangers(self, members: Sequence[str]) -> None:
        """See the port."""
        await self.session.end_strangers(members)

    async def end_writers(self) -> tuple[str, ...]:
        """See the port."""
        return await self.session.end_writers()

    async def end_sessions(self) -> None:
        """See the port."""
        await self.session.end_sessions()

    # --- files -----------------------------------------------------------------------------------------------------

    def write_file(self, path: Path, text: str) -> None:
        """Atomically, mode 0600."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)

    def put_member(self, member: str) -> None:
        """Name the copy. Before its directory is touched the old name is out of the record."""
        self.write_file(self._member_file, member + "\n")

    def signal_standby(self, data: Path) -> None:
        """A stray start by anybody is then read-only (safety C4)."""
        (data / "standby.signal").touch(mode=0o600)

    def _write_fixed_files(self) -> None:
        self.write_file(self.passfile, texts.pass_lines(self.spec))
        addresses = [self.address, *(peer.partition("=")[2].partition(":")[0] for peer in self._peers)]
        self.write_file(self._access, texts.access_rules(self.spec, addresses=addresses))

    def _write_config(self, timeline: str) -> None:
        text = texts.server_config(
            self.spec,
            address=self.address,
            names=self._names,
            upstream=self._upstream,
            member=self.member,
            passfile=str(self.passfile),
            timeline=timeline,
        )
        self.write_file(self._config, text)

    async def program(self, *command: str, stdin: bytes = b"", deadline_s: float = 600.0) -> str:
        """Run one of PostgreSQL's programs; raises ``Unreachable`` with its words when it fails."""
        done = await asyncio.to_thread(
            self.processes.run,
            command,
            environment={"LC_ALL": "C", "PGPASSFILE": str(self.passfile), "PGAPPNAME": f"seed_{self.site}"},
            deadline_s=deadline_s,
            as_database=True,
            stdin=stdin,
        )
        if done.status != 0:
            raise Unreachable(f"{command[0]} ended with {done.status}: {done.output.strip()[-400:]}")
        return done.output
