"""What the keeper asks its own PostgreSQL over SQL: facts, proofs, heartbeats. One kept connection, with deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import psycopg
from psycopg import sql

from failover.adapters.postgres_config import KEEPER_ROLE, sync_names
from failover.errors import Unreachable
from failover.model.observation import Replica
from failover.model.units import Lsn, is_member_id

_DEADLINE_S = 2.0
TIMELINE = """case when {recovering}
      then greatest((select timeline_id from pg_control_checkpoint()),
                    coalesce((select received_tli from pg_stat_wal_receiver), 0))
      else ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int end"""
"""Of a running server, as SQL. The control file lags: it knows a promotion only after the next checkpoint."""
_FACTS = f"""
select json_build_object(
  'recovering', r.is,
  'system_identifier', (select system_identifier::text from pg_control_system()),
  'timeline', {TIMELINE.format(recovering="r.is")},
  'position', pg_wal_lsn_diff(case when r.is then greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn())
      else pg_current_wal_flush_lsn() end, '0/0')::bigint,
  'replayed', pg_wal_lsn_diff(case when r.is then pg_last_wal_replay_lsn()
      else pg_current_wal_flush_lsn() end, '0/0')::bigint,
  'inserted', pg_wal_lsn_diff(case when r.is then pg_last_wal_replay_lsn()
      else pg_current_wal_insert_lsn() end, '0/0')::bigint,
  'streaming', exists (select from pg_stat_wal_receiver where status = 'streaming'),
  'names', current_setting('synchronous_standby_names'),
  'conninfo', current_setting('primary_conninfo'),
  'open_writes', (select count(*) from pg_stat_activity where backend_xid is not null and pid <> pg_backend_pid()),
  'replicas', coalesce((select json_agg(json_build_object('application_name', application_name, 'state', state,
      'sync_state', sync_state, 'flush_lsn', coalesce(pg_wal_lsn_diff(flush_lsn, '0/0'), 0)::bigint,
      'replay_lsn', coalesce(pg_wal_lsn_diff(replay_lsn, '0/0'), 0)::bigint)) from pg_stat_replication), '[]'::json)
) from (select pg_is_in_recovery() as is) r
"""
_END = (
    "select pg_terminate_backend(pid), concat(backend_type, ' ', nullif(application_name, '') || ' ', "
    "'of ' || usename || ' from ' || client_addr || ', ', state, ' since ' || date_trunc('ms', now() - state_change)) "
    "from pg_stat_activity where "
)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One answer of the facts query."""

    recovering: bool
    system_identifier: str
    timeline: int
    position: int
    replayed: int
    inserted: int
    streaming: bool
    names: str
    conninfo: str
    open_writes: int
    replicas: tuple[Replica, ...]


class KeeperSession:
    """Keeps one connection as the keeper's role. Raises ``Unreachable`` for everything PostgreSQL refuses."""

    def __init__(self, *, address: str, port: int, passfile: str) -> None:
        self._conninfo = (
            f"host={address} port={port} user={KEEPER_ROLE} dbname=postgres passfile={passfile} "
            f"connect_timeout=2 application_name=failover-keeper options='-c statement_timeout=30s'"
        )
        self._kept: psycopg.AsyncConnection[tuple[object, ...]] | None = None
        self._turn = asyncio.Lock()

    async def close(self) -> None:
        """Drop the connection: its server is being stopped."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()

    async def facts(self) -> Seen:
        """The facts, within two seconds."""
        rows = await self.rows(_FACTS, deadline_s=_DEADLINE_S)
        return msgspec.convert(rows[0][0], Seen)

    async def rows(
        self, query: str, parameters: Sequence[object] = (), *, deadline_s: float = _DEADLINE_S
    ) -> list[tuple[object, ...]]:
        """Run one statement on the kept connection; a connection that failed is not used again."""
        async with self._turn:
            try:
                async with asyncio.timeout(deadline_s):
                    if self._kept is None or self._kept.closed:
                        self._kept = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                    cursor = await self._kept.execute(query.encode(), parameters or None)
                    return await cursor.fetchall() if cursor.description else []
            except (psycopg.Error, TimeoutError, OSError) as error:
                kept, self._kept = self._kept, None
                if kept is not None:
                    kept.pgconn.finish()
                raise Unreachable(f"PostgreSQL did not answer: {type(error).__name__} {error}".strip()) from error

    async def prove_names(self, names: Sequence[str]) -> Lsn:
        """B2: a *new* session shows the value, a CHECKPOINT issued after that has returned, then the position."""
        try:
            async with asyncio.timeout(20):
                fresh = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True)
                try:
                    cursor = await fresh.execute("select current_setting('synchronous_standby_names')")
                    row = await cursor.fetchone()
                    if row is None or row[0] != sync_names(names):
                        raise Unreachable(f"sync names are not loaded yet: {row[0] if row else ''!r}")
                    await fresh.execute("CHECKPOINT")
                finally:
                    await fresh.close()
        except (psycopg.Error, TimeoutError, OSError) as error:
            raise Unreachable(f"sync names could not be proven: {error}") from error
        return (await self.facts()).inserted

    async def heartbeat(self) -> Lsn:
        """A non-transactional message gives idle fleets something to flush, so that silence means something (B5)."""
        rows = await self.rows("select pg_wal_lsn_diff(pg_logical_emit_message(false, 'failover', ''), '0/0')::bigint")
        return int(str(rows[0][0]))

    async def ensure_slots(self, members: Sequence[str]) -> None:
        """Make missing slots; drop members' slots nobody uses any more (a forgotten slot fills the disk, F3)."""
        found = await self.rows("select slot_name::text, active from pg_replication_slots where slot_type = 'physical'")
        have = {str(name): bool(active) for name, active in found}
        for member in members:
            if member not in have:
                await self.rows("select pg_create_physical_replication_slot(%s)", [member])
        for name, active in have.items():
            if name not in members and is_member_id(name) and not active:
                await self.rows("select pg_drop_replication_slot(%s)", [name])

    async def end_strangers(self, members: Sequence[str]) -> None:
        """Terminate walsenders other than the members'."""
        await self.rows(
            _END + "backend_type = 'walsender' and not (application_name = any(%s))", [list(members)], deadline_s=1.0
        )

    async def end_writers(self) -> tuple[str, ...]:
        """Terminate sessions with an open write transaction; what was ended, in words. Never the statement itself:
        its text may hold what only the app should know."""
        rows = await self.rows(_END + "backend_xid is not null and pid <> pg_backend_pid()")
        return tuple(str(row[1]) for row in rows)

    async def promote(self) -> None:
        """Terminate client sessions inside a transaction (safety D2; idle ones hold nothing and stay warm for the app)
        and ask for the promotion, in one round trip: users wait for it."""
        await self.rows(
            "with ended as materialized (select pg_terminate_backend(pid) from pg_stat_activity where "
            "backend_type = 'client backend' and xact_start is not null and pid <> pg_backend_pid()) "
            "select pg_promote(false), count(*) from ended"
        )

    async def received(self) -> Lsn:
        """The standby's flush position; 0 before it received anything."""
        rows = await self.rows("select coalesce(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), '0/0'), 0)::bigint")
        return int(str(rows[0][0]))

    async def recovering(self) -> bool:
        """Is it still in recovery?"""
        return bool((await self.rows("select pg_is_in_recovery()"))[0][0])


async def checkpoint(address: str, port: int, passfile: str, *, deadline_s: float) -> None:
    """CHECKPOINT at any site of the fleet (a rewind copies less from a source that has just done one)."""
    conninfo = f"host={address} port={port} user={KEEPER_ROLE} dbname=postgres passfile={passfile} connect_timeout=2"
    try:
        async with asyncio.timeout(deadline_s):
            connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
            try:
                await connection.execute(sql.SQL("CHECKPOINT"))
            finally:
                await connection.close()
    except (psycopg.Error, TimeoutError, OSError) as error:
        raise Unreachable(f"no checkpoint at {address}: {error}") from error
