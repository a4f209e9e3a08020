"""Migrations: repeatable, one at a time, and a file that was changed afterwards is noticed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from infra.app import migrate
from tests.infra.app.processes import ROOT


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("APP_")}
    return subprocess.run(
        [sys.executable, "-m", "infra.app.migrate", *arguments],
        env={**clean, "PYTHONPATH": str(ROOT), **environment}, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_applies_once_and_can_be_repeated(empty_dsn: str) -> None:
    names = [migration.name for migration in migrate.migrations()]
    assert migrate.migrate(empty_dsn, migrate.migrations()) == names
    assert migrate.migrate(empty_dsn, migrate.migrations()) == []
    with psycopg.connect(empty_dsn) as connection:
        rows = connection.execute("SELECT name FROM schema_migrations ORDER BY version").fetchall()
    assert [name for (name,) in rows] == names


def test_several_at_once_apply_each_file_once(empty_dsn: str) -> None:
    with ThreadPoolExecutor(4) as crowd:
        done = list(crowd.map(lambda _: migrate.migrate(empty_dsn, migrate.migrations()), range(4)))
    assert sorted(name for names in done for name in names) == [one.name for one in migrate.migrations()]


def test_a_changed_file_is_noticed_and_nothing_is_applied(empty_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one ()")
    migrate.migrate(empty_dsn, migrate.migrations(tmp_path))
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one (x int)")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two ()")
    with pytest.raises(migrate.Tampered):
        migrate.migrate(empty_dsn, migrate.migrations(tmp_path))
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regclass('two')").fetchone() == (None,)


def test_a_failing_file_leaves_the_earlier_ones_and_nothing_of_itself(empty_dsn: str, tmp_path: Path) -> None:
    (tmp_path / "0001_one.sql").write_text("CREATE TABLE one ()")
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two (); SELECT 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate.migrate(empty_dsn, migrate.migrations(tmp_path))
    with psycopg.connect(empty_dsn) as connection:
        assert connection.execute("SELECT to_regclass('one')::text, to_regclass('two')").fetchone() == ("one", None)
    (tmp_path / "0002_two.sql").write_text("CREATE TABLE two ()")
    assert migrate.migrate(empty_dsn, migrate.migrations(tmp_path)) == ["0002_two.sql"]


def test_numbers_without_gaps(tmp_path: Path) -> None:
    (tmp_path / "0002_two.sql").write_text("SELECT 1")
    with pytest.raises(migrate.Tampered):
        migrate.migrations(tmp_path)


def test_exit_statuses_and_no_secret_on_stderr(empty_dsn: str) -> None:
    assert _run(APP_MIGRATE_DSN=empty_dsn).returncode == 0
    by_site = _run("--site", "beta", APP_DATABASES=json.dumps({"alpha": "host=nowhere", "beta": empty_dsn}))
    assert by_site.returncode == 0, by_site.stderr
    assert "up to date" in by_site.stderr
    assert _run().returncode == 2
    assert _run("--site", "gamma", APP_DATABASES='{"alpha": "host=nowhere"}').returncode == 2
    broken = _run(APP_DATABASES='{"alpha": "password=sesame"')
    assert (broken.returncode, "sesame" in broken.stderr) == (2, False)
    dead = _run(APP_MIGRATE_DSN="host=127.81.0.77 port=1 password=sesame")
    assert (dead.returncode, "sesame" in dead.stderr) == (8, False)
