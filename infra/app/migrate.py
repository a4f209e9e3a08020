"""`python -m infra.app.migrate [--site SITE]`: bring the schema up to date; as often as you like.

Numbered SQL files, each in a transaction of its own, under one advisory lock; the SHA-256 of every applied file is
compared first. Exit status: 0 up to date · 2 usage · 3 refused (not the primary) · 8 unreachable · 9 a file was changed
after it was applied. Must never be here: a connection string on the command line, where everybody can read it.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

import psycopg

from infra.app import log
from infra.app.failures import SYNC_WAIT_CUT
from infra.app.settings import SettingsError, read

FOLDER = Path(__file__).parent / "migrations"
LOCK = 7_140_221_885_031
_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")

_log = logging.getLogger("infra.app.migrate")  # run as a program, its __name__ says nothing


class Tampered(Exception):
    """What was applied is not what the files say."""


class Refused(Exception):
    """This server may not be migrated now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file."""

    version: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def migrations(folder: Path = FOLDER) -> list[Migration]:
    """Every file in order. Tampered when numbers are missing or doubled."""
    found = [
        Migration(version=int(match[1]), name=path.name, sql=path.read_text(encoding="utf-8"))
        for path in sorted(folder.iterdir())
        if (match := _FILE.fullmatch(path.name))
    ]
    if [migration.version for migration in found] != list(range(1, len(found) + 1)):
        raise Tampered("migrations are not numbered 1, 2, 3, …")
    return found


def migrate(dsn: str, wanted: Iterable[Migration]) -> list[str]:
    """Apply what is missing and return the names. Repeatable; two at once wait for each other."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=5, application_name="social-app-migrate") as connection:
        cut: list[str] = []
        connection.add_notice_handler(lambda notice: cut.append(notice.sqlstate or ""))
        if _one(connection, "SELECT pg_is_in_recovery()"):
            raise Refused("this server is a standby")
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        connection.execute("SET client_min_messages = warning")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL,"
            " sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        rows = connection.execute("SELECT version, sha256 FROM schema_migrations").fetchall()
        applied = {int(str(version)): str(sha256) for version, sha256 in rows}
        done = [_apply(connection, migration) for migration in _missing(list(wanted), applied)]
        if SYNC_WAIT_CUT in cut:
            raise Refused("the wait for the standby was cut short: run again when it is back")
        return done


def _missing(wanted: list[Migration], applied: dict[int, str]) -> list[Migration]:
    for migration in wanted:
        if applied.get(migration.version, migration.sha256) != migration.sha256:
            raise Tampered(f"{migration.name} was changed after it was applied")
    newest = len(wanted)
    if any(version > newest for version in applied):
        _log.warning("the database is ahead of this version of the app; nothing to do")
    return [migration for migration in wanted if migration.version not in applied]


def _apply(connection: psycopg.Connection[tuple[object, ...]], migration: Migration) -> str:
    with connection.transaction():
        connection.execute(migration.sql.encode())
        connection.execute(
            "INSERT INTO schema_migrations (version, name, sha256) VALUES (%s, %s, %s)",
            [migration.version, migration.name, migration.sha256],
        )
    return migration.name


def _one(connection: psycopg.Connection[tuple[object, ...]], statement: LiteralString) -> object:
    row = connection.execute(statement).fetchone()
    return row[0] if row else None


def _dsn(site: str | None) -> str:
    given = os.environ.get("APP_MIGRATE_DSN")
    if given:
        return given
    settings = read()
    try:
        return settings.databases[site or settings.site]
    except KeyError:
        raise SettingsError(f"APP_DATABASES names no site {site or settings.site}") from None


def main(arguments: list[str] | None = None) -> int:
    log.set_up(process="migrate", level="INFO")
    parser = argparse.ArgumentParser(prog="python -m infra.app.migrate", description="bring the schema up to date")
    parser.add_argument("--site", help="site of APP_DATABASES to migrate (default: APP_SITE)")
    try:
        done = migrate(_dsn(parser.parse_args(arguments).site), migrations())
    except SettingsError as failure:
        _log.error("%s", failure)
        return 2
    except Refused as failure:
        _log.error("%s", failure)
        return 3
    except Tampered as failure:
        _log.error("%s", failure)
        return 9
    except psycopg.OperationalError as failure:
        _log.error("no answer from the database: %s, sqlstate %s", type(failure).__name__, failure.sqlstate)
        return 8
    _log.info("applied: %s", ", ".join(done) or "nothing, the schema is up to date")
    return 0


if __name__ == "__main__":
    sys.exit(main())
