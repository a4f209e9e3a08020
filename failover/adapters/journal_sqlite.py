"""The journal in one SQLite file: WAL mode, ``synchronous=FULL``, each line flushed before the call returns.

What must never be here: deciding anything about a run. Two flushed commits cost about 1 ms a step.

Each line carries the SHA-256 of the line before it and of itself: a line lost or altered is found when read.
"""

from __future__ import annotations

import hashlib
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from failover.errors import Damaged, FailoverError, LeaseLost, Unreachable, UsageError
from failover.model.journal import JournalLine, Outcome, RunState, RunView
from failover.model.plan import Plan, Step
from failover.model.units import utc_text
from failover.ports.journal import Claim, Owner

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (run TEXT PRIMARY KEY, verb TEXT NOT NULL, digest TEXT NOT NULL, plan BLOB NOT NULL,
    summary TEXT NOT NULL, owner BLOB NOT NULL, lease_token TEXT NOT NULL, fence INTEGER NOT NULL, state TEXT NOT NULL,
    committed INTEGER NOT NULL, started_at TEXT NOT NULL, ended_at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS line (run TEXT NOT NULL REFERENCES run, sequence INTEGER NOT NULL, value BLOB NOT NULL,
    chain TEXT NOT NULL, PRIMARY KEY (run, sequence)) STRICT;
"""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY_S = 5.0
_HINT = "keep the file as it is for the inquiry and move it aside; failover starts a new one"


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteJournal:
    """``Journal`` in the file ``path`` (mode 0600). One connection behind a lock; close it when done."""

    def __init__(
        self,
        *,
        path: Path,
        now: Callable[[], datetime] = _now,
        suffix: Callable[[], str] = lambda: secrets.token_hex(2),
    ) -> None:
        self._path = path
        self._now = now
        self._suffix = suffix
        self._lock = threading.RLock()
        try:
            self._connection = sqlite3.connect(path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            path.chmod(0o600)
        except (sqlite3.Error, OSError) as error:
            raise Unreachable(f"the journal cannot be opened: {error}", where=str(path)) from error
        with self._told():
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_SCHEMA)

    def begin(self, *, plan: Plan, owner: Owner, lease_token: str) -> Claim:
        """See the port."""
        now = self._now()
        run = f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{plan.verb.replace(' ', '-')}-{self._suffix()}"
        content = msgspec.json.encode(plan)
        with self._change() as connection:
            connection.execute(
                "INSERT INTO run (run, verb, digest, plan, summary, owner, lease_token, started_at, fence, state,"
                " committed, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 1, 'running', 0, '')",
                (run, plan.verb, plan.digest, content, plan.summary, _json(owner), lease_token, utc_text(now)),
            )
        return Claim(run=run, fence=1)

    def take_over(self, run: str, *, owner: Owner, lease_token: str) -> Claim:
        """See the port."""
        with self._change() as connection:
            fence = self._row(run)["fence"] + 1
            connection.execute(
                "UPDATE run SET owner = ?, lease_token = ?, fence = ?, state = ?, ended_at = '' WHERE run = ?",
                (_json(owner), lease_token, fence, RunState.RUNNING.value, run),
            )
        return Claim(run=run, fence=fence)

    def intent(self, claim: Claim, *, step: Step, undoing: bool = False) -> None:
        """See the port."""
        self._add(claim, "intent", step, undoing=undoing, commits=step.commit and not undoing)

    def result(
        self, claim: Claim, *, step: Step, outcome: Outcome, detail: str, seconds: float, undoing: bool = False
    ) -> None:
        """See the port."""
        self._add(claim, "result", step, outcome=outcome, detail=detail, seconds=seconds, undoing=undoing)

    def note(self, claim: Claim, *, text: str, step: Step | None = None) -> None:
        """See the port."""
        self._add(claim, "note", step, detail=text)

    def end(self, claim: Claim, state: RunState) -> None:
        """See the port."""
        with self._change() as connection:
            self._require(claim)
            row = (state.value, utc_text(self._now()), claim.run)
            connection.execute("UPDATE run SET state = ?, ended_at = ? WHERE run = ?", row)

    def runs(self) -> tuple[RunView, ...]:
        """See the port."""
        with self._told():
            rows = self._select("SELECT * FROM run ORDER BY rowid DESC")
            return tuple(_view(row) for row in rows)

    def run(self, run: str) -> RunView:
        """See the port."""
        with self._told():
            return _view(self._row(run))

    def owner(self, run: str) -> Owner:
        """See the port."""
        with self._told():
            return msgspec.json.decode(self._row(run)["owner"], type=Owner)

    def plan(self, run: str) -> Plan:
        """See the port."""
        with self._told():
            row = self._row(run)
            plan = msgspec.json.decode(row["plan"], type=Plan)
        if plan.digest != row["digest"]:
            raise self._damaged(f"the plan of {run} gives digest {plan.digest}, stored was {row['digest']}")
        return plan

    def lines(self, run: str) -> tuple[JournalLine, ...]:
        """See the port."""
        steps = {step.id: step.title for step in self.plan(run).steps}
        lines: list[JournalLine] = []
        chain = run
        with self._told():
            for row in self._select("SELECT * FROM line WHERE run = ? ORDER BY sequence", run):
                line = msgspec.json.decode(row["value"], type=JournalLine)
                chain = _link(chain, row["value"])
                if row["chain"] != chain or line.sequence != len(lines) + 1 or line.run != run:
                    raise self._damaged(f"line {len(lines) + 1} of {run} was lost or altered")
                if line.step and steps.get(line.step) != line.title:
                    raise self._damaged(f"{run} tells of step {line.step!r} {line.title!r}; its plan has no such step")
                lines.append(line)
        return tuple(lines)

    def export_jsonl(self, path: Path, *, run: str = "") -> None:
        """See the port."""
        views = (self.run(run),) if run else reversed(self.runs())
        rows = [row for view in views for row in (view, *self.lines(view.run))]
        path.touch(mode=0o600)
        path.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def close(self) -> None:
        """Close the file. Repeatable."""
        with self._lock:
            self._connection.close()

    def _add(
        self,
        claim: Claim,
        kind: str,
        step: Step | None,
        *,
        outcome: Outcome | None = None,
        detail: str = "",
        seconds: float | None = None,
        undoing: bool = False,
        commits: bool = False,
    ) -> None:
        with self._change() as connection:
            self._require(claim)
            last = connection.execute(
                "SELECT sequence, chain FROM line WHERE run = ? ORDER BY sequence DESC LIMIT 1", (claim.run,)
            ).fetchone()
            sequence, chain = (last["sequence"], last["chain"]) if last is not None else (0, claim.run)
            line = JournalLine(
                run=claim.run,
                sequence=sequence + 1,
                at=utc_text(self._now()),
                kind=kind,
                step=step.id if step is not None else "",
                title=step.title if step is not None else "",
                outcome=outcome,
                detail=detail,
                seconds=seconds,
                undoing=undoing,
            )
            value = msgspec.json.encode(line)
            row = (claim.run, line.sequence, value, _link(chain, value))
            connection.execute("INSERT INTO line VALUES (?, ?, ?, ?)", row)
            if commits:
                connection.execute("UPDATE run SET committed = 1 WHERE run = ?", (claim.run,))

    def _require(self, claim: Claim) -> None:
        row = self._row(claim.run)
        if row["fence"] != claim.fence:
            owner = msgspec.json.decode(row["owner"], type=Owner)
            raise LeaseLost(f"run {claim.run} was taken over by {owner}", where=str(self._path))

    def _row(self, run: str) -> sqlite3.Row:
        rows = self._select("SELECT * FROM run WHERE run = ?", run)
        if not rows:
            raise UsageError(f"there is no run {run!r}", where=str(self._path), hint="failover journal list")
        return rows[0]

    def _select(self, sql: str, *parameters: str) -> list[sqlite3.Row]:
        with self._lock:
            self._connection.row_factory = sqlite3.Row
            rows: list[sqlite3.Row] = self._connection.execute(sql, parameters).fetchall()
            return rows

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._told():
            self._connection.row_factory = sqlite3.Row
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's and the decoder's complaints as errors of ours."""
        try:
            yield
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
            raise self._damaged(f"a stored value cannot be read: {error}") from error
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE:
                raise self._damaged(str(error)) from error
            raise Unreachable(f"the journal cannot be used: {error}", where=str(self._path)) from error

    def _damaged(self, what: str) -> FailoverError:
        return Damaged(f"the journal is damaged: {what}", where=str(self._path), hint=_HINT)


def _json(owner: Owner) -> bytes:
    return msgspec.json.encode(owner)


def _link(chain: str, value: bytes) -> str:
    return hashlib.sha256(chain.encode("ascii") + value).hexdigest()


def _view(row: sqlite3.Row) -> RunView:
    return RunView(
        run=row["run"],
        verb=row["verb"],
        digest=row["digest"],
        owner=str(msgspec.json.decode(row["owner"], type=Owner)),
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        state=RunState(row["state"]),
        committed=bool(row["committed"]),
        summary=row["summary"],
    )
