"""Around a planned move of an app that is not ours: a worker that runs everywhere is paused by its hooks before the
hold and goes on after the move; what runs at the primary only changes sides; a leftover transaction is ended and
listed. A hook that fails or hangs takes the move back, and nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from failover.config.fleet import load_fleet
from tests.e2e.harness import LocalFleet, Ran
from tests.e2e.plain import plain_fleet, primary_sql

pytestmark = pytest.mark.e2e
TICKER = Path(__file__).with_name("ticker.py")
DATA = ("alpha", "beta")
PRIMARY_ONLY = ("infra.app.worker\0", "infra.app\0")
SERVICE = f"""  services:
    ticker:
      command: [python, {TICKER}, work]
      environment: {{TICKER_DATABASE: "{{database_url}}"}}
      quiesce: [python, {TICKER}, pause]
      resume: [python, {TICKER}, resume]
"""


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalFleet]:
    one = LocalFleet(tmp_path_factory.mktemp("hooks"), block=63)
    plain_fleet(one)
    text = one.file.read_text()
    assert text.count("  services:\n") == 1
    one.file.write_text(text.replace("  services:\n", SERVICE))
    try:
        one.deploy()
        one.wait_protected()
        eventually("the ticker writes", lambda: sum(len(acknowledged(one, site)) for site in DATA) > 20)
        yield one
        one.run("destroy", "--yes")
    finally:
        one.end()


def eventually(what: str, so: Callable[[], bool], *, deadline_s: float = 60.0) -> None:
    end = time.monotonic() + deadline_s
    while not so():
        assert time.monotonic() < end, f"not so within {deadline_s:g} s: {what}"
        time.sleep(0.1)


def lines(one: LocalFleet, site: str, name: str) -> list[str]:
    path = one.host_dir(site) / "ticker" / name
    return path.read_text().split("\n")[:-1] if path.exists() else []


def acknowledged(one: LocalFleet, site: str) -> list[int]:
    return [int(line) for line in lines(one, site, "acknowledged")]


def hooks(one: LocalFleet, site: str) -> list[tuple[float, str]]:
    """When and what, since the list was last emptied."""
    parted = (line.split(" ", 1) for line in lines(one, site, "hooks"))
    return [(float(at), what) for at, what in parted]


def resumed(one: LocalFleet, site: str) -> bool:
    return "resumed" in {what for _, what in hooks(one, site)}


def sides(one: LocalFleet) -> tuple[str, str]:
    """Where the primary is, and where it may go: in sync, streaming, and its copy ready to be promoted."""
    here: str = one.wait_protected()["record"]["primary"].split("_")[0]
    there = "beta" if here == "alpha" else "alpha"
    eventually(
        f"a move to {there} is allowed",
        lambda: one.run("switchover", "--to", there, "--dry-run", status=None).status == 0,
    )
    return here, there


def forget_hooks(one: LocalFleet) -> None:
    """Once none is due any more: each agent resumes once in its life."""
    for site in DATA:
        eventually(f"resumed at {site}", lambda site=site: bool(hooks(one, site)))  # type: ignore[misc]
        (one.host_dir(site) / "ticker" / "hooks").write_text("")


def set_mode(one: LocalFleet, site: str, mode: str) -> None:
    (one.host_dir(site) / "ticker" / "mode").write_text(mode)


def running(one: LocalFleet, site: str, word: str) -> bool:
    """A process of the host has ``word`` on its command line."""
    for pid in one.processes()[site]:
        try:
            if word.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return True
        except (FileNotFoundError, ProcessLookupError):
            continue
    return False


def journal(one: LocalFleet, ran: Ran) -> list[dict[str, Any]]:
    newest = one.run("--json", "journal", "list").json["runs"][0]["run"]
    assert newest in ran.out + ran.err, "the run that was asked for"
    found: list[dict[str, Any]] = one.run("--json", "journal", "show", newest).json["lines"]
    return found


def at(entries: list[dict[str, Any]], step: str, kind: str) -> float:
    return next(
        datetime.fromisoformat(line["at"]).timestamp()
        for line in entries
        if (line["step"], line["kind"], line.get("undoing", False)) == (step, kind, False)
    )


def stored_once(one: LocalFleet) -> None:
    """Every tick that was acknowledged is in the final primary, none of them twice."""
    told = {site: acknowledged(one, site) for site in DATA}
    with primary_sql(one) as sql:
        rows = sql.execute("SELECT site, number, count(*) FROM ticks GROUP BY 1, 2").fetchall()
    counts = {(site, number): count for site, number, count in rows}
    assert [(site, number) for site in DATA for number in told[site] if counts.get((site, number), 0) != 1] == []
    assert set(counts.values()) == {1}


def goes_on(one: LocalFleet, site: str) -> None:
    before = len(acknowledged(one, site))
    eventually(f"the ticker at {site} writes", lambda: len(acknowledged(one, site)) > before + 5)


def serves(one: LocalFleet) -> None:
    site = load_fleet(one.file).site("alpha")
    words = {"name": f"n{time.time_ns():x}"[:20], "password": "a password for nobody else"}
    httpx.post(f"http://{site.address}:{site.ports.edge}/api/accounts", json=words, timeout=30).raise_for_status()


@pytest.mark.timeout(300)
def test_hooks_run_before_the_hold_and_after_the_move(hooked: LocalFleet) -> None:
    old, new = sides(hooked)
    plan = hooked.run("switchover", "--to", new, "--dry-run").out
    assert f"Quiesce the app (worker stops; ticker by python {TICKER} pause)" in plan
    assert "promise: HTTP hold at the edge, workers quiesced: 0 errors for requests within the budget" in plan
    by_hand = hooked.run("switchover", "--to", new, "--dry-run", "--format", "markdown").out
    assert f"# at every data site: python {TICKER} pause" in by_hand
    assert f"# at every data site: python {TICKER} resume" in by_hand
    for word in PRIMARY_ONLY:
        eventually(f"{word} runs at {old}", lambda word=word: running(hooked, old, word))  # type: ignore[misc]
        assert not running(hooked, new, word), word
    forget_hooks(hooked)

    with primary_sql(hooked, name="leftover") as leftover:
        leftover.autocommit = False
        leftover.execute("INSERT INTO ticks VALUES ('leftover', 1)")
        moved = hooked.run("switchover", "--to", new, "--yes")
        with pytest.raises(psycopg.OperationalError):
            leftover.execute("SELECT 1")
    told = journal(hooked, moved)
    ended = [line["detail"] for line in told if line["kind"] == "note" and line["step"] == "drain"]
    # Others may be in the middle of a write, too: PostgreSQL's own, for one.
    assert [one for one in ended if one.startswith(f"ended at {old}: client backend leftover")], ended
    assert "leftover transactions ended: " in moved.out + moved.err
    assert "client backend leftover" in moved.out + moved.err

    for site in DATA:
        eventually(f"resumed at {site}", lambda site=site: resumed(hooked, site))  # type: ignore[misc]
        ran = hooks(hooked, site)
        assert [what for _, what in ran] == ["pause", "paused", "resumed"], site
        assert at(told, "quiesce", "intent") < ran[0][0]
        assert ran[1][0] < at(told, "hold", "intent"), site
        assert at(told, "commit", "intent") < ran[2][0], site
    goes_on(hooked, new)
    for word in PRIMARY_ONLY:
        eventually(f"{word} runs at {new}", lambda word=word: running(hooked, new, word))  # type: ignore[misc]
        eventually(f"{word} ends at {old}", lambda word=word: not running(hooked, old, word))  # type: ignore[misc]
    stored_once(hooked)
    with primary_sql(hooked) as sql:
        assert sql.execute("SELECT 1 FROM ticks WHERE site = 'leftover'").fetchall() == [], "it was never committed"


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("mode", "said"), [("fail", "ended with 1: the queue is busy"), ("hang", "did not end within 10 s")]
)
def test_a_hook_that_does_not_do_its_work_takes_the_move_back(hooked: LocalFleet, mode: str, said: str) -> None:
    here, there = sides(hooked)
    primary = hooked.status()["record"]["primary"]
    forget_hooks(hooked)
    set_mode(hooked, here, mode)
    try:
        undone = hooked.run("switchover", "--to", there, "--yes", status=5)
    finally:
        set_mode(hooked, here, "")
    assert said in undone.err
    assert hooked.status()["record"]["primary"] == primary
    told = journal(hooked, undone)
    assert [line["step"] for line in told if line["kind"] == "intent" and not line.get("undoing")] == [
        line["step"] for line in told if line["kind"] == "intent" and line["step"].startswith(("checkpoint", "quiesce"))
        and not line.get("undoing")
    ], "nothing after the quiesce was begun"  # fmt: skip
    for site in DATA:
        eventually(f"resumed at {site}", lambda site=site: resumed(hooked, site))  # type: ignore[misc]
    assert not running(hooked, here, f"{TICKER}\0pause"), "a hook that hangs is ended"
    goes_on(hooked, here)
    serves(hooked)
    stored_once(hooked)
