"""Making a copy: initdb, base backup, rewind (safety B1, C5)."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from failover.adapters import postgres_config as texts
from failover.adapters.postgres_files import PostgresFiles
from failover.adapters.postgres_server import PostgresServer
from failover.adapters.postgres_sql import checkpoint
from failover.errors import Unreachable
from failover.model.units import MemberId
from failover.ports.database import Upstream

# A promotion copies the segment it ends in, and a rewind whole ones: small ones make both quick (16 MB cost 60 ms).
_SEGMENT_MB = 4
_PLAIN = "wal_level = replica\nunix_socket_directories = ''\nrestart_after_crash = off\n"


class PostgresSeed:
    """Works on a data directory whose server is stopped (or on none)."""

    def __init__(self, files: PostgresFiles, server: PostgresServer) -> None:
        self._files = files
        self._server = server

    async def create(self, member: MemberId) -> None:
        """initdb beside the data directory, roles and database by single-user mode, renamed into place when whole."""
        files, program = self._files, self._server.program
        if files.data.exists():
            raise Unreachable(f"{files.data} exists already: nothing is ever created over it")
        fresh = await self._empty()
        passwords = files.host_dir / "run" / "initdb-password"
        files.write(passwords, files.spec.keeper_password + "\n")
        try:
            await program(
                "initdb", "-D", str(fresh), f"--username={texts.KEEPER_ROLE}", f"--pwfile={passwords}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8",
                f"--wal-segsize={_SEGMENT_MB}",
            )  # fmt: skip
            first = texts.first_statements(files.spec).encode()
            await program("postgres", "--single", "-D", str(fresh), "-c", "log_statement=none", "postgres", stdin=first)
        finally:
            passwords.unlink(missing_ok=True)
        self._put_in_place(fresh, member)

    async def backup(self, upstream: Upstream, member: MemberId) -> None:
        """Base backup from ``upstream``; it streams under a name that is no member's."""
        files = self._files
        fresh = await self._empty()
        place = f"host={upstream.address} port={upstream.port} user={texts.REPLICATION_ROLE}"
        source = f"{place} application_name=seed_{files.site}"
        await self._server.program(
            "pg_basebackup", "-D", str(fresh), "-d", source, "-X", "stream", "-c", "fast", "--no-password"
        )
        self._put_in_place(fresh, member)

    async def rewind(self, upstream: Upstream, member: MemberId) -> bool:
        """``pg_rewind``; the source checkpoints first, because its whole pg_wal is copied. ``False``: it could not."""
        files = self._files
        await checkpoint(upstream.address, upstream.port, str(files.passfile), deadline_s=30.0)
        source = f"host={upstream.address} port={upstream.port} user={texts.KEEPER_ROLE} dbname=postgres"
        (files.data / "standby.signal").unlink(missing_ok=True)
        # An unclean copy is recovered in single-user mode first, which must see neither upstream nor sync names.
        plain = files.host_dir / "run" / "rewind.conf"
        files.write(plain, _PLAIN)
        (files.data / "postgresql.auto.conf").write_text("")
        try:
            await self._server.program(
                "pg_rewind", "--target-pgdata", str(files.data), "--source-server", source, "--config-file", str(plain)
            )
        except Unreachable:
            return False
        finally:
            files.signal_standby(files.data)
        files.put_member(member)
        return True

    async def discard(self) -> None:
        """Out of the way in one rename, then removed."""
        gone = self._files.data.with_name("postgres.gone")
        await asyncio.to_thread(shutil.rmtree, gone, True)
        if self._files.data.exists():
            self._files.data.rename(gone)
        await asyncio.to_thread(shutil.rmtree, gone, True)

    async def _empty(self) -> Path:
        fresh = self._files.data.with_name("postgres.new")
        await asyncio.to_thread(shutil.rmtree, fresh, True)
        return fresh

    def _put_in_place(self, fresh: Path, member: MemberId) -> None:
        self._files.signal_standby(fresh)
        self._files.put_member(member)
        fresh.rename(self._files.data)
