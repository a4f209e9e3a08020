"""The independent checker of histories: sound ones pass, and each way to be wrong is named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.history.check import Line, figures, violations


def write(op: int, began: float, ended: float, *, epoch: int = 1, site: str = "alpha", ok: bool = True) -> list[Line]:
    told: Line = {"e": "return", "op": op, "ok": ok, "tried": began, "t": ended}
    return [
        {"e": "invoke", "op": op, "kind": "write", "key": "k", "n": op, "id": f"k.{op}", "t": began},
        {**told, "site": site, "epoch": epoch} if ok else told,
    ]


def read(op: int, began: float, ended: float, seen: list[int], *, window: int = 30) -> list[Line]:
    return [
        {"e": "invoke", "op": op, "kind": "read", "key": "k", "t": began},
        {"e": "return", "op": op, "ok": True, "tried": began, "t": ended, "site": "alpha", "epoch": 1, "seen": seen,
         "window": window},
    ]  # fmt: skip


def record(revision: int, epoch: int, primary: str, *sync: str) -> Line:
    return {"e": "record", "revision": revision, "epoch": epoch, "primary": primary, "sync": list(sync), "t": revision}


def rows(*numbers: int) -> list[Line]:
    return [{"id": f"k.{number}"} for number in numbers]


SOUND = [
    *write(1, 0.0, 0.1), *read(11, 0.2, 0.3, [1]), *write(2, 0.3, 9.0, ok=False), {"e": "fault", "what": "x", "t": 0.4},
    record(5, 1, "a1", "b1"), record(6, 2, "b1"), {"e": "recovered", "t": 9.0}, *read(12, 9.1, 9.2, [1, 2]),
    *write(3, 9.2, 9.3, epoch=2, site="beta"),
]  # fmt: skip


def test_a_sound_history_is_sound_and_an_open_write_may_be_there_or_not() -> None:
    assert violations(SOUND, rows(1, 2, 3)) == []
    assert figures(SOUND, rows(1, 2, 3))["acknowledged"] == 4
    assert violations([line for line in SOUND if line.get("op") != 12], rows(1, 3)) == []


@pytest.mark.parametrize(
    ("more", "stored", "said"),
    [
        ([], (1, 2), "k.3 was acknowledged at 9.300 by beta in epoch 2 and is lost"),
        ([], (1, 2, 3, 3), "k.3 is stored 2 times"),
        ([], (1, 2, 3, 7), "k.7 is stored and nobody wrote it"),
        (write(4, 9.4, 9.5, epoch=1), (1, 2, 3, 4), "when epoch 2 had acknowledged already"),
        (write(4, 9.4, 9.5, epoch=2, site="alpha"), (1, 2, 3, 4), "epoch 2 acknowledged at alpha and beta"),
        (read(13, 9.4, 9.5, [1, 2]), (1, 2, 3), r"lacks \[3\], known before it began"),
        (read(13, 9.4, 9.5, []), (1, 2, 3), r"lacks \[1, 2, 3\]"),
        (read(13, 9.4, 9.5, [1, 2, 3, 8]), (1, 2, 3), r"was shown \[8\], which are not stored"),
        ([*read(13, 9.15, 9.5, [1, 2, 3]), *read(14, 9.6, 9.7, [1, 2])], (1, 2, 3), r"lacks \[3\]"),
        ([record(6, 2, "b1")], (1, 2, 3), "does not grow"),
        ([record(7, 1, "b1")], (1, 2, 3), "epoch 2 -> 1"),
        ([record(7, 2, "a1")], (1, 2, 3), "in one epoch"),
        ([record(7, 3, "a1")], (1, 2, 3), "was not in sync"),
        ([{"e": "fault", "what": "kill beta", "t": 9.5}], (1, 2, 3), "kill beta at 9.500 was never recovered from"),
    ],
)
def test_each_way_to_be_wrong_is_named(more: list[Line], stored: tuple[int, ...], said: str) -> None:
    found: list[Any] = violations([*SOUND, *more], rows(*stored))
    assert [one for one in found if re.search(said, one)], found


def test_a_page_shows_only_the_newest() -> None:
    history = [*write(1, 0.0, 0.1), *write(2, 0.2, 0.3), *write(3, 0.4, 0.5), *read(11, 0.6, 0.7, [2, 3], window=2)]
    assert violations(history, rows(1, 2, 3)) == []
    assert violations([*history, *read(12, 0.8, 0.9, [1, 2], window=2)], rows(1, 2, 3)) != []
