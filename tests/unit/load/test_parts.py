"""Small pure parts: templates, arrivals, addresses, picking values, references, targets."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from failover.errors import UsageError
from failover.load.addresses import AddressBook
from failover.load.arrivals import Schedule, arrivals
from failover.load.pick import pick
from failover.load.references import resolve
from failover.load.sender import Target
from failover.load.template import Template

A, B, C = "127.0.0.1", "127.0.0.2", "127.0.0.3"


def test_a_template_fills_its_names_and_keeps_other_braces() -> None:
    template = Template('{{x}} {"a": {"b": "{id}"}} {id}{run} {Not a name}')
    assert template.names == ("id", "id", "run")
    assert template.fill({"id": "7", "run": "r"}) == '{x}} {"a": {"b": "7"}} 7r {Not a name}'


def test_values_are_escaped_inside_json() -> None:
    assert Template('{"t": "{token}"}', escape_json=True).fill({"token": 'a"b\\\n'}) == '{"t": "a\\"b\\\\\\n"}'


def test_a_name_without_a_value_is_an_error() -> None:
    with pytest.raises(KeyError):
        Template("{token}").fill({})


@pytest.mark.parametrize("schedule", list(Schedule))
def test_arrivals_keep_their_rate_and_repeat_with_the_seed(schedule: Schedule) -> None:
    first = list(itertools.takewhile(lambda due: due < 50.0, arrivals(schedule, per_s=40.0, seed="1")))
    again = list(itertools.islice(arrivals(schedule, per_s=40.0, seed="1"), len(first)))
    other = list(itertools.islice(arrivals(schedule, per_s=40.0, seed="2"), len(first)))
    assert first == again
    assert first != other
    assert first == sorted(first)
    assert 1850 < len(first) < 2150


def test_no_rate_no_arrivals() -> None:
    assert list(arrivals(Schedule.POISSON, per_s=0.0, seed="1")) == []


def test_each_client_has_its_favourite_and_tries_all() -> None:
    book = AddressBook()
    orders = [book.order([C, A, B], client=client, now_s=0.0) for client in range(3)]
    assert [order[0] for order in orders] == [A, B, C]
    assert all(sorted(order) == [A, B, C] for order in orders)


def test_the_dead_go_last_until_their_time_is_up_and_then_one_request_probes() -> None:
    book = AddressBook(dead_for_s=2.0)
    book.dead(A, now_s=10.0)
    assert book.order([A, B], client=0, now_s=11.9) == (B, A)
    assert book.order([A, B], client=0, now_s=12.0) == (A, B)
    assert book.order([A, B], client=0, now_s=12.1) == (B, A)
    book.alive(A)
    assert book.order([A, B], client=0, now_s=12.2) == (A, B)


def test_when_all_are_dead_all_are_tried() -> None:
    book = AddressBook()
    book.dead(A, now_s=1.0)
    book.dead(B, now_s=1.0)
    assert sorted(book.order([A, B], client=0, now_s=1.1)) == [A, B]


def test_a_retry_goes_elsewhere_first() -> None:
    assert AddressBook().order([A, B], client=0, now_s=0.0, avoid=A) == (B, A)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("json:session.tokens.1", "second"),
        ("json:number", "12"),
        ("json:nothing.here", None),
        ("json:session.tokens.9", None),
        ("header:x-token", "from header"),
        ("header:missing", None),
        ("cookie:sid", "abc"),
        ("cookie:other", None),
    ],
)
def test_picks_a_value_out_of_an_answer(where: str, value: str | None) -> None:
    headers = {"X-Token": "from header", "Set-Cookie": "sid=abc; Path=/; HttpOnly"}
    body = b'{"session": {"tokens": ["first", "second"]}, "number": 12}'
    assert pick(where, headers=headers, body=body) == value


def test_picks_nothing_out_of_what_is_no_json() -> None:
    assert pick("json:a", headers={}, body=b"<html>") is None


def test_references_are_resolved_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("secret of the file\n")
    monkeypatch.setenv("LOAD_TEST_KEY", "secret of the environment")
    secret = resolve(f"file:{tmp_path / 'key'}")
    assert secret.reveal() == "secret of the file"
    assert "secret" not in repr(secret)
    assert resolve("env:LOAD_TEST_KEY").reveal() == "secret of the environment"
    with pytest.raises(UsageError):
        resolve("env:LOAD_TEST_KEY_MISSING")


def test_a_target_is_taken_apart() -> None:
    target = Target.parse("https://app.example.test/base/")
    assert (target.host, target.port, target.prefix) == ("app.example.test", 443, "/base")
    assert target.authority == "app.example.test"
    assert Target.parse("http://app.test:8080").authority == "app.test:8080"
    for wrong in ("app.test:8080", "ftp://app.test", "http://", "http://app.test/?q=1"):
        with pytest.raises(UsageError):
            Target.parse(wrong)
