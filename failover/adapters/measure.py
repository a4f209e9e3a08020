"""Looks at PostgreSQL directly for a drill's figures: does a commit go through, and which rows are there."""

from __future__ import annotations

import select
from collections.abc import Mapping

import psycopg
from psycopg.pq import ExecStatus

from failover.errors import Unreachable
from failover.model.fleet import Fleet
from failover.model.secret import Secret


class PostgresMeasure:
    """Implements ``ports.measure.Measure``. One kept connection per site, used by one thread each."""

    def __init__(self, fleet: Fleet, *, password: Secret, role: str) -> None:
        self._fleet = fleet
        self._password = password
        self._role = role
        self._kept: dict[str, psycopg.Connection[tuple[object, ...]]] = {}

    def commits(self, site: str, *, timeout_s: float) -> bool:
        """See the port. A session that waits for its standby is cut off by the socket's own deadline: neither
        statement_timeout nor a cancel ends that wait without making the row visible."""
        try:
            kept = self._kept.get(site)
            if kept is None or kept.closed:
                kept = self._kept[site] = self._connect(site, database="postgres", timeout_s=timeout_s)
            return self._one_commit(kept, timeout_s)
        except (psycopg.Error, OSError):
            self._drop(site)
            return False

    def _one_commit(self, kept: psycopg.Connection[tuple[object, ...]], timeout_s: float) -> bool:
        kept.pgconn.send_query(b"select pg_logical_emit_message(true, 'drill', '')")
        poller = select.poll()
        poller.register(kept.pgconn.socket, select.POLLIN)
        while True:
            kept.pgconn.flush()
            if kept.pgconn.is_busy() and not poller.poll(timeout_s * 1000):
                raise OSError("no acknowledgement in time")
            kept.pgconn.consume_input()
            if kept.pgconn.is_busy():
                continue
            result = kept.pgconn.get_result()
            if result is None:
                return False
            good = result.status == ExecStatus.TUPLES_OK
            while kept.pgconn.get_result() is not None:
                continue
            return good

    def column(self, site: str, query: str, parameters: Mapping[str, str]) -> list[str]:
        """See the port."""
        try:
            with self._connect(site, database=self._fleet.app.database, timeout_s=5.0) as connection:
                return [str(row[0]) for row in connection.execute(query.encode(), dict(parameters))]
        except psycopg.Error as error:
            raise Unreachable(f"the database at {site} could not be read: {error}") from error

    def close(self) -> None:
        """See the port."""
        for site in list(self._kept):
            self._drop(site)

    def _drop(self, site: str) -> None:
        kept = self._kept.pop(site, None)
        if kept is not None:
            kept.pgconn.finish()

    def _connect(self, site: str, *, database: str, timeout_s: float) -> psycopg.Connection[tuple[object, ...]]:
        place = self._fleet.site(site)
        return psycopg.connect(
            host=place.address,
            port=place.ports.postgres,
            user=self._role,
            password=self._password.reveal(),
            dbname=database,
            connect_timeout=max(2, round(timeout_s)),
            application_name="failover-drill",
            autocommit=True,
        )
