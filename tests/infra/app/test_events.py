"""The stream of what is new: each newest post once, from where its client was, and its end with its process."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import httpx

from tests.infra.app.processes import AppProcess, Person


def told(lines: Iterator[str]) -> str:
    """The next event's data."""
    return next(line.removeprefix("data: ") for line in lines if line.startswith("data: "))


def test_a_stream_tells_what_is_new_and_ends_with_the_process(app: AppProcess) -> None:
    ada = Person(app.client).arrive()
    first = ada.post("one").json()["id"]
    with app.client.stream("GET", "/api/events", timeout=10.0) as stream:
        assert stream.status_code == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        assert told(lines) == first
        second = ada.post("two").json()["id"]
        assert told(lines) == second
        app.signal(signal.SIGTERM)
        try:
            rest = list(lines)
        except httpx.RemoteProtocolError:
            rest = []
        assert not [line for line in rest if line.startswith("data: ")], "nothing is told twice"
    assert app.wait(10) == 0


def test_who_comes_back_is_not_told_again_what_is_known(app: AppProcess) -> None:
    ada = Person(app.client).arrive()
    first = ada.post("one").json()["id"]
    with app.client.stream("GET", "/api/events", headers={"Last-Event-ID": first}, timeout=10.0) as stream:
        lines = stream.iter_lines()
        assert ": nothing new" in (next(lines), next(lines), next(lines))
        second = ada.post("two").json()["id"]
        assert told(lines) == second
