"""Fixtures: a real PostgreSQL or two on 127.81.0.x, and the app's real processes in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.infra.app.processes import AppProcess, Postgres, Start, free_port


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("alpha"), host="127.81.0.1") as server:
        yield server


@pytest.fixture(scope="session")
def second_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    with Postgres(tmp_path_factory.mktemp("beta"), host="127.81.0.2") as server:
        yield server


@pytest.fixture
def empty_dsn(postgres: Postgres) -> str:
    """A fresh database without a schema."""
    return postgres.new_database()


@pytest.fixture
def dsn(postgres: Postgres) -> str:
    """A fresh database with the schema."""
    return postgres.new_app_database()


@pytest.fixture
def second_dsn(second_postgres: Postgres) -> str:
    return second_postgres.new_app_database()


@pytest.fixture
def sql(dsn: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection of the test's own to the app's database."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


@contextmanager
def _starting(folder: Path) -> Iterator[Start]:
    """Start processes of the app; they are killed at the end, whatever happened."""
    running: list[AppProcess] = []

    def start_one(
        databases: dict[str, str], *, module: str = "infra.app", gate: bool = False, **more: str
    ) -> AppProcess:
        process = AppProcess(
            module=module, databases=databases, folder=folder, port=free_port("127.81.0.9"), gate=gate, more=more
        )
        running.append(process)
        process.start()
        return process

    try:
        yield start_one
    finally:
        for process in running:
            process.kill()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts processes of the app for one test."""
    with _starting(tmp_path) as start_one:
        yield start_one


@pytest.fixture
def app(start: Start, dsn: str) -> AppProcess:
    """One web process without a gate socket, always open, with a database of its own."""
    return start({"alpha": dsn})


@pytest.fixture(scope="module")
def shared_app(tmp_path_factory: pytest.TempPathFactory, postgres: Postgres) -> Iterator[AppProcess]:
    """Like app, but one for all tests of a file that look only at what they made themselves."""
    with _starting(tmp_path_factory.mktemp("shared")) as start_one:
        yield start_one({"alpha": postgres.new_app_database()})
