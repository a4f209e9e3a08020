"""Zone on this machine: the SQLite database that the site's PowerDNS (gsqlite3 back end) serves.

Never here: the app's records. They change with every move and are written through the server's API.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from infra.names import name_server, zone_name

# PowerDNS 4.7's own tables (gsqlite3), those it opens at start.
SCHEMA = """
CREATE TABLE IF NOT EXISTS domains (
  id INTEGER PRIMARY KEY, name VARCHAR(255) NOT NULL COLLATE NOCASE, master VARCHAR(128) DEFAULT NULL,
  last_check INTEGER DEFAULT NULL, type VARCHAR(8) NOT NULL, notified_serial INTEGER DEFAULT NULL,
  account VARCHAR(40) DEFAULT NULL, options VARCHAR(65535) DEFAULT NULL, catalog VARCHAR(255) DEFAULT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS name_index ON domains(name);
CREATE INDEX IF NOT EXISTS catalog_idx ON domains(catalog);
CREATE TABLE IF NOT EXISTS records (
  id INTEGER PRIMARY KEY, domain_id INTEGER DEFAULT NULL, name VARCHAR(255) DEFAULT NULL,
  type VARCHAR(10) DEFAULT NULL, content VARCHAR(65535) DEFAULT NULL, ttl INTEGER DEFAULT NULL,
  prio INTEGER DEFAULT NULL, disabled BOOLEAN DEFAULT 0, ordername VARCHAR(255), auth BOOL DEFAULT 1,
  FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE INDEX IF NOT EXISTS records_lookup_idx ON records(name, type);
CREATE INDEX IF NOT EXISTS records_lookup_id_idx ON records(domain_id, name, type);
CREATE INDEX IF NOT EXISTS records_order_idx ON records(domain_id, ordername);
CREATE TABLE IF NOT EXISTS supermasters (
  ip VARCHAR(64) NOT NULL, nameserver VARCHAR(255) NOT NULL COLLATE NOCASE, account VARCHAR(40) NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS ip_nameserver_pk ON supermasters(ip, nameserver);
CREATE TABLE IF NOT EXISTS comments (
  id INTEGER PRIMARY KEY, domain_id INTEGER NOT NULL, name VARCHAR(255) NOT NULL, type VARCHAR(10) NOT NULL,
  modified_at INT NOT NULL, account VARCHAR(40) DEFAULT NULL, comment VARCHAR(65535) NOT NULL,
  FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE INDEX IF NOT EXISTS comments_idx ON comments(domain_id, name, type);
CREATE INDEX IF NOT EXISTS comments_order_idx ON comments(domain_id, modified_at);
CREATE TABLE IF NOT EXISTS domainmetadata (
  id INTEGER PRIMARY KEY, domain_id INT NOT NULL, kind VARCHAR(32) COLLATE NOCASE, content TEXT,
  FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE INDEX IF NOT EXISTS domainmetaidindex ON domainmetadata(domain_id);
CREATE TABLE IF NOT EXISTS cryptokeys (
  id INTEGER PRIMARY KEY, domain_id INT NOT NULL, flags INT NOT NULL, active BOOL, published BOOL DEFAULT 1,
  content TEXT, FOREIGN KEY(domain_id) REFERENCES domains(id) ON DELETE CASCADE ON UPDATE CASCADE);
CREATE INDEX IF NOT EXISTS domainidindex ON cryptokeys(domain_id);
CREATE TABLE IF NOT EXISTS tsigkeys (
  id INTEGER PRIMARY KEY, name VARCHAR(255) COLLATE NOCASE, algorithm VARCHAR(50) COLLATE NOCASE,
  secret VARCHAR(255));
CREATE UNIQUE INDEX IF NOT EXISTS namealgoindex ON tsigkeys(name, algorithm);
"""
_TTL_S = 300


def database(host_dir: Path) -> Path:
    """Where PowerDNS of this host finds its zones."""
    return host_dir / "dns" / "zone.sqlite3"


def create(host_dir: Path, *, zone: str, site: str, address: str) -> str:
    """Make the zone with SOA, NS and the server's own address; leaves an existing one with its records alone."""
    name, server = zone_name(zone), name_server(site, zone)
    path = database(host_dir)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with closing(_open(path)) as connection, connection:
        connection.executescript(SCHEMA)
        connection.execute("BEGIN IMMEDIATE")
        if _zone_row(connection, name) is None:
            row = connection.execute("INSERT INTO domains (name, type) VALUES (?, 'NATIVE')", (name,)).lastrowid
            soa = f"{server} hostmaster.{name} 1 10800 3600 604800 60"
            records = [(name, "SOA", soa), (name, "NS", server), (server, "A", address)]
            connection.executemany(
                "INSERT INTO records (domain_id, name, type, content, ttl) VALUES (?, ?, ?, ?, ?)",
                [(row, owner, kind, content, _TTL_S) for owner, kind, content in records],
            )
            # A change through the API must raise the serial, or nobody can tell an old answer from a new one.
            connection.execute(
                "INSERT INTO domainmetadata (domain_id, kind, content) VALUES (?, 'SOA-EDIT-API', 'DEFAULT')", (row,)
            )
    path.chmod(0o600)
    return f"{name}@{site}"


def exists(host_dir: Path, zone: str) -> bool:
    """True while the database holds the zone."""
    path = database(host_dir)
    if not path.exists():
        return False
    with closing(_open(path)) as connection:
        tables = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'domains'").fetchone()
        return tables is not None and _zone_row(connection, zone_name(zone)) is not None


def remove(host_dir: Path, zone: str) -> None:
    """Remove the zone with all its records; nothing to do when it, or the whole host, is gone."""
    if not exists(host_dir, zone):
        return
    with closing(_open(database(host_dir))) as connection, connection:
        connection.execute("DELETE FROM domains WHERE name = ?", (zone_name(zone),))


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=5)
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _zone_row(connection: sqlite3.Connection, name: str) -> int | None:
    row = connection.execute("SELECT id FROM domains WHERE name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])
