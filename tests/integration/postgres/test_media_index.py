"""The app's references, read from a real database: in the order of bytes, as of one moment, from whoever answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from failover.adapters.media_index import PostgresMediaIndex
from failover.errors import Damaged, FailoverError, Refused, Unreachable
from failover.model.fleet import Ports, Role, Site
from failover.model.media import Expected
from failover.model.secret import Secret
from tests.infra.app.processes import Postgres, name_in

SHA = "a" * 64
QUERY = "SELECT name, sha256, size FROM files -- what the operator wrote last may be a comment"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("index"), host="127.81.0.3") as postgres:
        yield postgres


@pytest.fixture
def dsn(server: Postgres) -> str:
    found = server.new_database()
    with psycopg.connect(found, autocommit=True) as sql:
        sql.execute("CREATE TABLE files (name text, sha256 text, size bigint)")
    return found


def add(dsn: str, *names: str | None, sha256: str = SHA, size: int | None = 1) -> None:
    with psycopg.connect(dsn, autocommit=True) as sql:
        for name in names:
            sql.execute("INSERT INTO files VALUES (%s, %s, %s)", [name, sha256, size])


def index_of(server: Postgres, dsn: str, *, query: str = QUERY, dead_first: bool = False) -> PostgresMediaIndex:
    ports = [1, server.port] if dead_first else [server.port]
    sites = [
        Site(name=f"site{port}", provider="p", role=Role.DATA, address=server.host, ports=Ports(postgres=port))
        for port in ports
    ]
    return PostgresMediaIndex(sites, database=name_in(dsn), role="postgres", password=Secret("x"), query=query)


async def read(index: PostgresMediaIndex) -> list[Expected]:
    return [one async for page in index.pages("m/", stall_s=30) for one in page]


def test_in_the_order_of_bytes_and_each_once(server: Postgres, dsn: str) -> None:
    names = ["b", "B", "a/b", "a-b", "a", "é", "_", "b"]
    add(dsn, *names)

    async def story() -> list[Expected]:
        index = index_of(server, dsn)
        await index.open(deadline_s=20)
        try:
            return await read(index)
        finally:
            await index.close()

    found = asyncio.run(story())
    assert [one.key for one in found] == [f"m/{name}" for name in sorted(set(names))]
    assert found[0] == Expected(key="m/B", sha256=SHA, size_bytes=1)


def test_as_of_the_moment_it_was_opened_and_longer_than_a_page(server: Postgres, dsn: str) -> None:
    add(dsn, *(f"{number:05}" for number in range(1500)))

    async def story() -> list[Expected]:
        index = index_of(server, dsn, dead_first=True)
        await index.open(deadline_s=20)
        assert index.site == f"site{server.port}"
        add(dsn, "00000-later")
        try:
            return await read(index)
        finally:
            await index.close()

    found = asyncio.run(story())
    assert [one.key for one in found] == [f"m/{number:05}" for number in range(1500)]


@pytest.mark.parametrize(
    ("query", "name", "sha256", "size", "error"),
    [
        ("SELECT nothing FROM files", "a", SHA, 1, Refused),
        ("SELECT name, sha256 FROM files", "a", SHA, 1, Refused),
        ("SELECT name, sha256, sha256 FROM files", "a", SHA, 1, Damaged),
        (QUERY, "a", "not a digest", 1, Damaged),
        (QUERY, "", SHA, 1, Damaged),
        (QUERY, None, SHA, 1, Damaged),
        (QUERY, "a", SHA, None, Damaged),
        (QUERY, "a", SHA, -1, Damaged),
    ],
)
def test_what_is_no_index_is_told(
    server: Postgres, dsn: str, query: str, name: str | None, sha256: str, size: int | None, error: type[FailoverError]
) -> None:
    add(dsn, name, sha256=sha256, size=size)

    async def story() -> None:
        index = index_of(server, dsn, query=query)
        try:
            await index.open(deadline_s=20)
            await read(index)
        finally:
            await index.close()

    with pytest.raises(error):
        asyncio.run(story())


def test_nobody_answers(server: Postgres) -> None:
    site = Site(name="gone", provider="p", role=Role.DATA, address=server.host, ports=Ports(postgres=1))
    index = PostgresMediaIndex([site], database="x", role="postgres", password=Secret("x"), query=QUERY)
    with pytest.raises(Unreachable, match="gone"):
        asyncio.run(index.open(deadline_s=20))
