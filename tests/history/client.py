"""Clients that write down every call they make: what was asked, when, what came back. Each is a thread.

A client owns one key (an account of the app) and numbers its writes to it, one after the other; it reads every key.
What must never be here: an opinion on what came back (``check`` has it).
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import random
import secrets
import threading
import time
from pathlib import Path
from typing import Any

BUDGET_S = 12.0
ATTEMPT_S = 3.0
PAGE = 30
"""How many posts the app shows of an account: the newest."""


def boot_s() -> float:
    """The one clock of a history."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class History:
    """Lines of ``history.jsonl``, in the order they happened. For any thread."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8")
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)

    def number(self) -> int:
        """Of the next operation."""
        return next(self._numbers)

    def add(self, event: str, **values: Any) -> None:
        """One line, with its instant."""
        with self._lock:
            json.dump({"e": event, **values, "t": round(boot_s(), 6)}, self._file, separators=(",", ":"))
            self._file.write("\n")

    def close(self) -> None:
        """All of it is in the file."""
        with self._lock:
            self._file.close()


class Client(threading.Thread):
    """``edges``: host and port of every edge; one that fails is left for the next. ``keys``: of all clients."""

    def __init__(
        self, history: History, edges: list[tuple[str, int]], *, key: str, keys: list[str], pace_s: float
    ) -> None:
        super().__init__(name=f"client {key}", daemon=True)
        self._history = history
        self._edges = edges
        self._at = 0
        self._key = key
        self._keys = keys
        self._pace_s = pace_s
        self._chance = random.Random(key)
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""
        self._written = 0
        self.stop = threading.Event()

    def sign_up(self) -> None:
        """An account and a session, before anything is broken."""
        secret = secrets.token_urlsafe(18)
        for path in ("/api/accounts", "/api/sessions"):
            body = {"name": self._key, "password": secret}
            answer, _ = self._until(20.0, "POST", path, f"{self._key}{path[-9:]}", body)
            assert answer is not None, f"{path} was not accepted"
        self._token = str(answer["token"])

    def run(self) -> None:
        """Writes and reads until told to stop."""
        while not self.stop.wait(self._chance.expovariate(1 / self._pace_s)):
            if self._chance.random() < 0.6:
                self._write()
            else:
                self._read(self._chance.choice(self._keys))
        self._drop()

    def _write(self) -> None:
        self._written += 1
        number, op = self._written, self._history.number()
        row = f"{self._key}.{number}"
        self._history.add("invoke", op=op, kind="write", key=self._key, n=number, id=row)
        answer, how = self._until(BUDGET_S, "POST", "/api/posts", row, {"body": f"history {row}", "client_id": row})
        self._history.add("return", op=op, ok=answer is not None, **how)

    def _read(self, key: str) -> None:
        op = self._history.number()
        self._history.add("invoke", op=op, kind="read", key=key)
        answer, how = self._until(BUDGET_S, "GET", f"/api/accounts/{key}", "", None)
        if answer is not None:
            how["seen"] = sorted(int(post["client_id"].rpartition(".")[2]) for post in answer["posts"])
            how["window"] = PAGE
        self._history.add("return", op=op, ok=answer is not None, **how)

    def _until(
        self, budget_s: float, method: str, path: str, once: str, body: dict[str, str] | None
    ) -> tuple[dict[str, Any] | None, dict[str, Any]]:
        """Try until accepted or the budget is over: the answer, and which attempt it was."""
        ends = boot_s() + budget_s
        while True:
            tried = boot_s()
            status, answer, served = self._attempt(method, path, once, body)
            if status in (200, 201):
                return answer, {"tried": round(tried, 6), **served}
            self._at += 1
            if boot_s() > ends:
                return None, {"tried": round(tried, 6), "status": status}
            time.sleep(self._chance.uniform(0.03, 0.15))

    def _attempt(
        self, method: str, path: str, once: str, body: dict[str, str] | None
    ) -> tuple[int, dict[str, Any], dict[str, Any]]:
        headers = {"Idempotency-Key": once} if once else {}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            if self._connection is None:
                host, port = self._edges[self._at % len(self._edges)]
                self._connection = http.client.HTTPConnection(host, port, timeout=ATTEMPT_S)
            self._connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            got = self._connection.getresponse()
            text = got.read()
            served = {"site": got.headers.get("x-served-primary", ""), "epoch": int(got.headers["x-served-epoch"] or 0)
                      } if "x-served-epoch" in got.headers else {"site": "", "epoch": 0}  # fmt: skip
            if got.status not in (200, 201):
                self._drop()
                return got.status, {}, {}
            return got.status, json.loads(text), served
        except (OSError, http.client.HTTPException, ValueError):
            self._drop()  # told by the return: status 0, whether it was done is open
            return 0, {}, {}

    def _drop(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):
                self._connection.close()
            self._connection = None
