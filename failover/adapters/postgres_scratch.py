"""A restored copy: verified, combined, stripped, recovered and looked at with PostgreSQL's own programs. It listens on
a socket in a folder of its own (0700) and on no network, and knows of no primary, slot or member."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import psycopg

from failover.adapters.postgres_config import KEEPER_ROLE, control_values, quoted
from failover.adapters.postgres_digests import table_digests
from failover.adapters.postgres_server import postmaster
from failover.adapters.postgres_wal import last_start
from failover.adapters.postgres_waltime import first_end_after
from failover.errors import Damaged, Unreachable
from failover.model.snapshot import TableDigest
from failover.model.units import Lsn, format_lsn
from failover.ports.processes import Handle, Processes
from failover.ports.scratch import Arrival

_PROGRAM_S = 3600.0
_STOP_S = 60.0
_SIZES = {
    "max_connections setting": "max_connections",
    "max_worker_processes setting": "max_worker_processes",
    "max_wal_senders setting": "max_wal_senders",
    "max_prepared_xacts setting": "max_prepared_transactions",
    "max_locks_per_xact setting": "max_locks_per_transaction",
}
_TAKEN_OUT = ("standby.signal", "recovery.signal", "postmaster.pid", "postmaster.opts", "backup_label.old")


class PostgresScratch:
    """Implements ``ports.scratch.Scratch``. ``log`` gets the server's words."""

    def __init__(self, processes: Processes, *, log: Path) -> None:
        self._processes = processes
        self._log = log
        self._server: Handle | None = None
        self._sockets: Path | None = None

    def verify_files(self, folder: Path) -> None:
        """See the port."""
        self._program("pg_verifybackup", "--quiet", str(folder), what=folder)

    def combine(self, folders: Sequence[Path], into: Path) -> None:
        """See the port."""
        self._program("pg_combinebackup", *map(str, folders), "-o", str(into), what=into)

    def recover(self, folder: Path, *, arrival: Arrival, wal: Path | None, lasting: bool) -> None:
        """See the port."""
        strip(folder)
        self._sockets = Path(tempfile.mkdtemp(prefix="failover-scratch-"))
        settings = self._settings(arrival, wal=wal, lasting=lasting) | self._sizes(folder)
        text = "".join(f"{name} = {quoted(value)}\n" for name, value in settings.items())
        (folder / "postgresql.conf").write_text(text)
        (folder / "pg_hba.conf").write_text("local all all trust\n")
        (folder / "recovery.signal").touch(mode=0o600)
        environment = {"LC_ALL": "C"}
        self._server = self._processes.start(
            ["postgres", "-D", str(folder)], environment=environment, log=self._log, as_database=True
        )
        self._await_recovered(arrival.lsn)

    def _sizes(self, folder: Path) -> dict[str, str]:
        """Replay refuses to run with less room than the server had whose WAL it is."""
        done = self._processes.run(("pg_controldata", str(folder)), environment={"LC_ALL": "C"}, deadline_s=60.0)
        known = control_values(done.output)
        missing = [label for label in _SIZES if label not in known]
        if done.status != 0 or missing:
            raise Damaged(f"pg_controldata of {folder.name} does not say {', '.join(missing)}")
        return {setting: known[label] for label, setting in _SIZES.items()}

    def last_record(self, wal: Path, *, timeline: int, start: Lsn) -> Lsn:
        """See the port."""
        command = ("pg_waldump", "--path", str(wal), "--timeline", str(timeline), "--start", format_lsn(start))
        # It ends with 1 where the WAL ends, always.
        done = self._processes.run(command, environment={"LC_ALL": "C"}, deadline_s=_PROGRAM_S)
        return last_start(done.output)

    def first_end_after(self, wal: Path, *, timeline: int, start: Lsn, moment: datetime) -> Lsn:
        """See the port."""
        return first_end_after(wal, timeline=timeline, start=start, moment=moment)

    def _settings(self, arrival: Arrival, *, wal: Path | None, lasting: bool) -> dict[str, str]:
        # Without a target the server opens at a hole in the WAL as if that were its end: silent loss (measured).
        inclusive = "on" if arrival.where == "after" else "off"
        arrive = (
            {"recovery_target": "immediate"}
            if arrival.where == "consistent"
            else {"recovery_target_lsn": format_lsn(arrival.lsn), "recovery_target_inclusive": inclusive}
        )
        return arrive | {
            "recovery_target_action": "promote",
            "recovery_target_timeline": str(arrival.timeline or "current"),
            "restore_command": f'cp "{wal}/%f" "%p"' if wal is not None else "false",
            "listen_addresses": "",
            "unix_socket_directories": str(self._sockets),
            "port": "5432",
            "primary_conninfo": "",
            "primary_slot_name": "",
            "synchronous_standby_names": "",
            "cluster_name": "restored",
            "archive_mode": "off",
            "autovacuum": "off",
            "shared_buffers": "64MB",
            "fsync": "on" if lasting else "off",
            "logging_collector": "off",
        }

    def _await_recovered(self, target: Lsn) -> None:
        assert self._server is not None
        began = self._log.stat().st_size if self._log.exists() else 0
        until_s = time.monotonic() + _PROGRAM_S
        while time.monotonic() < until_s:
            if not self._processes.alive(self._server):
                said = self._log.read_text(errors="replace")[max(0, began - 2000) :].strip()[-600:]
                self._server = None
                raise Damaged(f"recovery did not arrive at {format_lsn(target)}: {said}")
            try:
                with self._session("postgres") as session:
                    row = session.execute("select pg_is_in_recovery()").fetchone()
                    if row is not None and row[0] is False:
                        return
            except psycopg.OperationalError:
                time.sleep(0.05)
                continue
            time.sleep(0.05)
        self.stop()
        raise Unreachable(f"recovery to {format_lsn(target)} takes more than {_PROGRAM_S:.0f} s")

    def _session(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            f"host={self._sockets} port=5432 user={KEEPER_ROLE} dbname={database} connect_timeout=5", autocommit=True
        )

    def check_structure(self, database: str) -> None:
        """See the port."""
        self._program(
            "pg_amcheck", "--install-missing", "--heapallindexed", "--no-password", "-h", str(self._sockets),
            "-p", "5432", "-U", KEEPER_ROLE, "-d", database, what=Path(database),
        )  # fmt: skip

    def digests(self, database: str) -> tuple[TableDigest, ...]:
        """See the port."""
        try:
            with self._session(database) as session, session.transaction():
                return table_digests(session)
        except psycopg.Error as error:
            raise Damaged(f"the restored database cannot be read: {error}") from error

    def sweep(self, folder: Path) -> None:
        """See the port."""
        left = postmaster(folder, self._processes)
        if left is not None:
            self._processes.stop(left, number=signal.SIGQUIT, timeout_s=5.0)

    def stop(self) -> None:
        """See the port."""
        server, self._server = self._server, None
        if server is not None:
            self._processes.stop(server, number=signal.SIGINT, timeout_s=_STOP_S)
        sockets, self._sockets = self._sockets, None
        if sockets is not None:
            shutil.rmtree(sockets, ignore_errors=True)

    def _program(self, *command: str, what: Path) -> None:
        done = self._processes.run(
            command, environment={"LC_ALL": "C"}, deadline_s=_PROGRAM_S, as_database=True, nice=0
        )
        if done.status != 0:
            raise Damaged(f"{command[0]} of {what.name} ended with {done.status}: {done.output.strip()[-600:]}")


def strip(folder: Path) -> None:
    """Takes out what another copy is known by. Repeatable."""
    for name in _TAKEN_OUT:
        (folder / name).unlink(missing_ok=True)
    (folder / "postgresql.auto.conf").write_text("")
    slots = folder / "pg_replslot"
    shutil.rmtree(slots, ignore_errors=True)
    slots.mkdir(mode=0o700)
    folder.chmod(0o700)
