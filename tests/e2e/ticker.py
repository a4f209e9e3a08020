"""A worker that is not ours, run as a program of its own: it writes without any request, and is let pause and go on.

``work`` writes a row every few milliseconds and keeps a list of those that were acknowledged. ``pause`` returns once
nothing is written any more, ``resume`` lets it go on; both note when they ran. What ``mode`` in its folder says, "fail"
or "hang", is what ``pause`` does instead.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import psycopg

FOLDER = Path(os.environ["FAILOVER_HOST_DIR"]) / "ticker" if "FAILOVER_HOST_DIR" in os.environ else Path()
SITE = os.environ.get("APP_SITE", "")


def note(what: str) -> None:
    """One line, in one write, so that two hooks never mix theirs."""
    with (FOLDER / "hooks").open("a") as lines:
        lines.write(f"{time.time():.6f} {what}\n")


def work() -> None:
    """For ever. A database that is away or read-only is asked again; what it did not acknowledge is not counted."""
    made = int(time.time() * 1000)
    with (FOLDER / "acknowledged").open("a", buffering=1) as acknowledged:
        while True:
            try:
                with psycopg.connect(os.environ["TICKER_DATABASE"], autocommit=True, connect_timeout=2) as sql:
                    sql.execute("CREATE TABLE IF NOT EXISTS ticks (site text, number bigint)")
                    while True:
                        made += 1
                        _wait_while_paused()
                        sql.execute("INSERT INTO ticks VALUES (%s, %s)", [SITE, made])
                        acknowledged.write(f"{made}\n")
                        time.sleep(0.01)
            except psycopg.Error as error:
                with (FOLDER / "failures").open("a") as failures:
                    failures.write(f"{time.time():.6f} {error.sqlstate}\n")
                _wait_while_paused()
                time.sleep(0.1)


def _wait_while_paused() -> None:
    while (FOLDER / "paused").exists():
        (FOLDER / "still").touch()
        time.sleep(0.01)


def pause() -> int:
    """0 once nothing is written any more."""
    note("pause")
    mode = (FOLDER / "mode").read_text() if (FOLDER / "mode").exists() else ""
    if mode == "hang":
        time.sleep(600)
    (FOLDER / "still").unlink(missing_ok=True)
    (FOLDER / "paused").touch()
    while not (FOLDER / "still").exists():
        time.sleep(0.005)
    if mode == "fail":
        sys.exit("the queue is busy")
    note("paused")
    return 0


def resume() -> int:
    """Repeatable."""
    (FOLDER / "paused").unlink(missing_ok=True)
    note("resumed")
    return 0


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    sys.exit({"work": work, "pause": pause, "resume": resume}[sys.argv[1]]())
