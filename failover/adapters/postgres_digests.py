"""Content of every table at exactly one LSN, so that a restore has something to be compared with.

On a standby replay is paused for the moment in which the transaction's view is taken, not for the digests themselves.
A second session resumes it by the server's own clock, so that a death of ours in that moment leaves nothing paused.
"""

from __future__ import annotations

import time

import psycopg
from psycopg import sql

from failover.model.snapshot import Digests, TableDigest
from failover.model.units import Lsn, format_lsn

_TRIES = 20
_PAUSE_S = 2.0
_TABLES = """
select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind = 'r' and c.relpersistence = 'p' and n.nspname not in ('pg_catalog', 'information_schema')
  and n.nspname not like 'pg\\_toast%' order by 1, 2
"""
# A view is exact at one LSN when nothing is in progress and no WAL was written around it. A commit that waits for its
# standby is in the WAL and still in progress.
_QUIET = """
select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint,
  pg_snapshot_xmin(pg_current_snapshot()) = pg_snapshot_xmax(pg_current_snapshot())
"""

_Session = psycopg.Connection[tuple[object, ...]]


def digests(conninfo: str, *, database: str) -> tuple[Digests, ...]:
    """Of one database; empty when no exact view could be had."""
    with psycopg.connect(conninfo) as session:
        session.autocommit = True
        recovering = bool(_value(session, "select pg_is_in_recovery()"))
        lsn = _view_of_standby(session, conninfo) if recovering else _view_of_primary(session)
        if lsn is None:
            return ()
        try:
            tables = table_digests(session)
        except (psycopg.errors.SerializationFailure, psycopg.errors.QueryCanceled):
            return ()  # replay had to remove rows that the view still saw
        finally:
            if not session.closed:
                session.execute("rollback")
    return (Digests(database=database, lsn=format_lsn(lsn), tables=tables),)


def table_digests(session: _Session) -> tuple[TableDigest, ...]:
    """Every permanent table of the session's database, in its transaction's view."""
    found = session.execute(_TABLES.encode()).fetchall()
    return tuple(_digest(session, str(schema), str(name)) for schema, name in found)


def _digest(session: _Session, schema: str, name: str) -> TableDigest:
    methods = (
        ("record", sql.SQL("hash_record_extended(t.*, 0)")),
        ("text", sql.SQL("hashtextextended(t::text, 0)")),  # a column's type has no hash function (json, point)
    )
    table = sql.Identifier(schema, name)
    for method, expression in methods:
        session.execute("savepoint digest")
        query = sql.SQL("select count(*), coalesce(sum({})::text, '') from only {} t").format(expression, table)
        try:
            row = session.execute(query).fetchone()
        except psycopg.errors.UndefinedFunction:
            session.execute("rollback to savepoint digest")
            continue
        assert row is not None
        return TableDigest(table=f"{schema}.{name}", rows=int(str(row[0])), digest=str(row[1]), method=method)
    raise AssertionError("every type has a text form")


def _value(session: _Session, query: str) -> object:
    row = session.execute(query.encode()).fetchone()
    return row[0] if row is not None else None


def _begin(session: _Session) -> None:
    session.execute("begin transaction isolation level repeatable read, read only")


def _view_of_primary(session: _Session) -> Lsn | None:
    for _ in range(_TRIES):
        before = session.execute(_QUIET.encode()).fetchone()
        _begin(session)
        within = session.execute(_QUIET.encode()).fetchone()
        if before == within and within is not None and within[1]:
            return int(str(within[0]))
        session.execute("rollback")
        time.sleep(0.05)
    return None


def _view_of_standby(session: _Session, conninfo: str) -> Lsn | None:
    state = "select pg_get_wal_replay_pause_state()"
    with psycopg.connect(conninfo, autocommit=True) as watchdog:
        watchdog.pgconn.send_query(f"select pg_sleep({_PAUSE_S}), pg_wal_replay_resume()".encode())
        watchdog.pgconn.flush()
        session.execute("select pg_wal_replay_pause()")
        try:
            until_s = time.monotonic() + _PAUSE_S / 2
            while _value(session, state) != "paused":
                if time.monotonic() > until_s:
                    return None
                time.sleep(0.002)
            _begin(session)
            lsn = _value(session, "select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint")
            if _value(session, state) == "paused":
                return int(str(lsn))
            session.execute("rollback")
            return None
        finally:
            session.execute("select pg_wal_replay_resume()")
            watchdog.pgconn.finish()
