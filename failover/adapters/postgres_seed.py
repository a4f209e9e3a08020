"""Making a copy anew: base backup, rewind, and the evidence saved before a rewind (safety B1, C5, C6)."""

from __future__ import annotations

import asyncio
import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from failover.adapters import postgres_config as texts
from failover.adapters.postgres_sql import checkpoint
from failover.errors import Unreachable
from failover.model.units import Lsn, MemberId, format_lsn
from failover.ports.database import Evidence, Upstream
from failover.ports.processes import Processes

_SEGMENT_BYTES = 16 * 1024 * 1024
# pg_waldump prints one line per record and has no other form; recorded sample in tests.
_COMMIT = re.compile(r"rmgr: Transaction .* desc: COMMIT", re.ASCII)


class _Host(Protocol):
    data: Path
    host_dir: Path
    site: str
    passfile: Path
    processes: Processes

    async def program(self, *command: str, stdin: bytes = b"", deadline_s: float = 600.0) -> str: ...
    def put_member(self, member: str) -> None: ...
    def signal_standby(self, data: Path) -> None: ...
    async def control(self) -> dict[str, str]: ...
    def write_file(self, path: Path, text: str) -> None: ...


class SeedMixin:
    """The part of ``LocalPostgres`` that replaces a copy; split off for its size only."""

    async def seed(self: _Host, upstream: Upstream, member: MemberId) -> None:
        """Base backup beside the data directory, renamed into place when it is whole."""
        fresh = self.data.with_name("postgres.new")
        await asyncio.to_thread(shutil.rmtree, fresh, True)
        source = f"host={upstream.address} port={upstream.port} user={texts.REPLICATION_ROLE} application_name=seed_{self.site}"
        await self.program(
            "pg_basebackup", "-D", str(fresh), "-d", source, "-X", "stream", "-c", "fast", "--no-password"
        )
        self.signal_standby(fresh)
        self.put_member(member)
        fresh.rename(self.data)

    async def save_evidence(self: _Host, fork_lsn: Lsn) -> Evidence:
        """Copy the WAL segments from the fork on, and count the commits in them."""
        values = await self.control()
        timeline = int(values["Latest checkpoint's TimeLineID"])
        folder = (
            self.host_dir / "evidence" / f"{timeline:08X}-{format_lsn(fork_lsn).replace('/', '_')}-{time.time_ns()}"
        )
        wal = self.data / "pg_wal"
        first = f"{timeline:08X}" + _segment_suffix(fork_lsn)
        segments = sorted(path for path in wal.iterdir() if len(path.name) == 24 and path.name >= first)
        segments = [path for path in segments if path.name[:8] == first[:8]]
        await asyncio.to_thread(_copy, segments, folder)
        done = await asyncio.to_thread(
            self.processes.run,
            ("pg_waldump", "--path", str(folder), "--timeline", str(timeline), "--start", format_lsn(fork_lsn),
             "--rmgr", "Transaction"),
            environment={"LC_ALL": "C"},
            deadline_s=60.0,
        )  # fmt: skip
        commits = sum(1 for line in done.output.splitlines() if _COMMIT.search(line))
        size = sum(path.stat().st_size for path in folder.iterdir())
        self.write_file(folder / "certificate.txt", f"fork {format_lsn(fork_lsn)}\ncommits past the fork {commits}\n")
        return Evidence(folder=str(folder), size_bytes=size, commits=commits)

    async def rewind(self: _Host, upstream: Upstream, member: MemberId) -> bool:
        """``pg_rewind``; the source checkpoints first, because its whole pg_wal is copied."""
        await checkpoint(upstream.address, upstream.port, str(self.passfile), deadline_s=30.0)
        source = f"host={upstream.address} port={upstream.port} user={texts.KEEPER_ROLE} dbname=postgres"
        (self.data / "standby.signal").unlink(missing_ok=True)
        # An unclean copy is recovered in single-user mode first, which must see neither upstream nor sync names.
        plain = self.host_dir / "run" / "rewind.conf"
        self.write_file(plain, "wal_level = replica\nunix_socket_directories = ''\nrestart_after_crash = off\n")
        (self.data / "postgresql.auto.conf").write_text("")
        try:
            await self.program(
                "pg_rewind", "--target-pgdata", str(self.data), "--source-server", source, "--config-file", str(plain)
            )
        except Unreachable:
            return False
        finally:
            self.signal_standby(self.data)
        self.put_member(member)
        return True

    async def discard(self: _Host) -> None:
        """Out of the way in one rename, then removed."""
        gone = self.data.with_name("postgres.gone")
        await asyncio.to_thread(shutil.rmtree, gone, True)
        if self.data.exists():
            self.data.rename(gone)
        await asyncio.to_thread(shutil.rmtree, gone, True)


def _segment_suffix(lsn: Lsn) -> str:
    number = lsn // _SEGMENT_BYTES
    per_log = 0x100000000 // _SEGMENT_BYTES
    return f"{number // per_log:08X}{number % per_log:08X}"


def _copy(paths: Sequence[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in paths:
        shutil.copy2(path, folder / path.name)
