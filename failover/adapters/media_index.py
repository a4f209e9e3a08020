"""``MediaIndex`` on PostgreSQL: the fleet file's query, read through a cursor in one snapshot of the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import TypeVar

import psycopg

from failover.errors import Damaged, FailoverError, Refused, Unreachable
from failover.model.fleet import Site
from failover.model.media import Expected, is_digest
from failover.model.secret import Secret

PAGE = 1000
_T = TypeVar("_T")
# What a query of somebody's gives may be of any type.
_Row = tuple[object, object, object]


class PostgresMediaIndex:
    """Asks the sites in the order given and stays with the first that answers: a standby's copy is as good, since it
    has every write that was acknowledged, and replay is milliseconds behind."""

    def __init__(self, sites: Sequence[Site], *, database: str, role: str, password: Secret, query: str) -> None:
        self._sites = tuple(sites)
        self._database = database
        self._role = role
        self._password = password
        self._query = query
        self._connection: psycopg.AsyncConnection[_Row] | None = None
        self._cursor: psycopg.AsyncServerCursor[_Row] | None = None
        self.site = ""

    async def open(self, *, deadline_s: float) -> None:
        errors = []
        for site in self._sites:
            try:
                async with asyncio.timeout(deadline_s):
                    await self._open(site)
            except (psycopg.OperationalError, TimeoutError) as error:
                errors.append(f"{site.name}: {type(error).__name__}")
                await self.close()
                continue
            except psycopg.Error as error:
                await self.close()
                raise Refused(
                    f"the query of media.index fails: {error.diag.message_primary or type(error).__name__}",
                    where=site.name,
                    hint="failover validate; it gives name, sha256 in hex, size in bytes",
                ) from error
            self.site = site.name
            return
        raise Unreachable(f"no database answers for the index of media: {', '.join(errors)}")

    async def pages(self, prefix: str, *, stall_s: float) -> AsyncIterator[Sequence[Expected]]:
        assert self._cursor is not None
        last = ""
        while rows := await self._asking(self._cursor.fetchmany(PAGE), stall_s):
            page = []
            for name, sha256, size_bytes in rows:
                one = _reference(prefix, name, sha256, size_bytes)
                if one is None:
                    raise Damaged(f"the index of media has a row that is no reference: {name!r}", where=self.site)
                if one.key != last:
                    page.append(one)
                last = one.key
            yield page

    async def close(self) -> None:
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            await connection.close()

    async def _open(self, site: Site) -> None:
        self._connection = await psycopg.AsyncConnection[_Row].connect(
            host=site.address,
            port=site.ports.postgres,
            user=self._role,
            password=self._password.reveal(),
            dbname=self._database,
            application_name="failover-media",
            connect_timeout=3,
        )
        await self._connection.set_read_only(True)
        await self._connection.set_isolation_level(psycopg.IsolationLevel.REPEATABLE_READ)
        self._cursor = psycopg.AsyncServerCursor(self._connection, "media")
        # The order is ours: a database's own collation sorts otherwise than stores do.
        await self._cursor.execute(
            b"SELECT name, sha256, size_bytes FROM ("
            + self._query.encode()
            + b'\n) AS referred (name, sha256, size_bytes) ORDER BY name COLLATE "C"'
        )

    async def _asking(self, call: Awaitable[_T], stall_s: float) -> _T:
        try:
            async with asyncio.timeout(stall_s):
                return await call
        except (psycopg.Error, TimeoutError) as error:
            raise _broke(self.site, error) from error


def _broke(site: str, error: Exception) -> FailoverError:
    return Unreachable(f"the index of media broke off: {type(error).__name__}", where=site)


def _reference(prefix: str, name: object, sha256: object, size_bytes: object) -> Expected | None:
    if not (isinstance(name, str) and name and isinstance(sha256, str) and is_digest(sha256)):
        return None
    if not isinstance(size_bytes, int) or size_bytes < 0:
        return None
    return Expected(key=prefix + name, sha256=sha256, size_bytes=size_bytes)
