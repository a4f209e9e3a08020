"""The one place that prints: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys

import msgspec


def say(text: str) -> None:
    """A result, on stdout."""
    print(text.rstrip("\n"), flush=True)


def tell(text: str) -> None:
    """For the person who watches, on stderr."""
    print(text.rstrip("\n"), file=sys.stderr, flush=True)


def say_json(value: object) -> None:
    """One object on stdout. Values of ours put ``schema`` first by their order of fields."""
    print(msgspec.json.encode(value).decode(), flush=True)


def tell_json(value: object) -> None:
    """One object as a line on stderr."""
    print(msgspec.json.encode(value).decode(), file=sys.stderr, flush=True)


def ask(question: str) -> str:
    """Ask on stderr, read one line; "" at the end of input."""
    print(question, end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()
