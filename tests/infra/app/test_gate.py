"""The gate's rules, without a process or a database: who is let in, in which order of requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from infra.app.gate import Gate, Refused, Request, Unavailable


class Clock:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _gate(clock: Clock | None = None, *, standing_open: bool = False) -> Gate:
    return Gate(sites=("alpha", "beta"), standing_open=standing_open, clock=clock or Clock())


def _open(primary: str = "alpha", epoch: int = 1, until: float = 200.0) -> Request:
    return Request(state="open", primary=primary, epoch=epoch, fresh_until=until)


def _soon() -> float:
    return asyncio.get_running_loop().time()


def _run(work: Any) -> None:
    asyncio.run(work())


def test_starts_closed_and_opens() -> None:
    async def work() -> None:
        gate = _gate()
        assert not gate.is_open
        with pytest.raises(Unavailable):
            await gate.passed(_soon())
        assert gate.apply(_open()) is None
        await gate.passed(_soon())
        assert (gate.answer().primary, gate.answer().epoch, gate.answer().waiting) == ("alpha", 1, 0)

    _run(work)


def test_closes_by_itself_when_its_freshness_ends() -> None:
    async def work() -> None:
        clock = Clock()
        gate = _gate(clock)
        gate.apply(_open(until=200.0))
        seen = [gate.is_open]
        clock.now = 200.0
        seen.append(gate.is_open)
        assert seen == [True, False]
        with pytest.raises(Unavailable):
            await gate.passed(_soon())
        gate.apply(_open(until=300.0))
        await gate.passed(_soon())

    _run(work)


def test_those_who_wait_are_counted_and_let_in_together() -> None:
    async def work() -> None:
        gate = _gate()
        waiting = [asyncio.create_task(gate.passed(_soon() + 10)) for _ in range(3)]
        await asyncio.sleep(0)
        assert gate.answer().waiting == 3
        gate.apply(_open())
        await asyncio.gather(*waiting)
        assert gate.answer().waiting == 0

    _run(work)


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Request(state="open", primary="alpha", epoch=4, fresh_until=200.0), "stale epoch"),
        (Request(state="hold", primary="alpha", epoch=4), "stale epoch"),
        (Request(state="open", primary="beta", epoch=5, fresh_until=200.0), "another primary in the same epoch"),
        (Request(state="open", primary="alpha", epoch=6), "open needs primary, epoch and fresh_until"),
        (Request(state="open", epoch=6, fresh_until=200.0), "open needs primary, epoch and fresh_until"),
        (Request(), "state is missing"),
    ],
)
def test_refusals_change_nothing(request_: Request, error: str) -> None:
    async def work() -> None:
        gate = _gate()
        gate.apply(_open(epoch=5))
        before = gate.answer()
        assert gate.apply(request_) == Refused(error=error, epoch=5)
        assert gate.answer() == before
        assert gate.is_open

    _run(work)


def test_a_primary_this_process_has_no_database_for_closes_the_gate() -> None:
    async def work() -> None:
        gate = _gate()
        gate.apply(_open(epoch=5))
        assert gate.apply(_open("gamma", epoch=6)) == Refused(error="unknown site", epoch=5)
        assert not gate.is_open

    _run(work)


@pytest.mark.parametrize(
    ("requests", "moves"),
    [
        ([_open()], 1),
        ([_open(), _open(until=300.0)], 1),
        ([_open(), Request(state="hold", epoch=1)], 1),
        ([Request(state="hold", primary="", epoch=0), _open()], 1),
        ([_open(), Request(state="hold", epoch=1), _open(until=300.0)], 1),
        ([_open(), Request(state="hold", epoch=2, primary="alpha")], 1),
        ([_open(), _open(epoch=2)], 2),
        ([_open(), _open("beta", 2)], 2),
        ([_open(), Request(state="hold", epoch=2, primary="beta"), _open("beta", 2)], 2),
        ([_open(), Request(state="hold", epoch=1, primary="beta"), _open("beta", 2)], 2),
    ],
)
def test_what_runs_is_abandoned_exactly_when_the_primary_moved(requests: list[Request], moves: int) -> None:
    async def work() -> None:
        gate, told = _gate(), [0]
        gate.on_move.append(lambda: told.__setitem__(0, told[0] + 1))
        for request in requests:
            assert gate.apply(request) is None
        assert told == [moves]

    _run(work)


def test_drained_as_soon_as_nothing_is_in_flight() -> None:
    async def work() -> None:
        gate = _gate()
        gate.apply(_open())
        gate.enter()
        gate.enter()
        assert not await gate.drained(0)
        gate.leave()
        assert not await gate.drained(0)
        gate.leave()
        assert await gate.drained(0)

    _run(work)


def test_without_a_socket_it_stands_open_to_the_first_site() -> None:
    async def work() -> None:
        gate = _gate(standing_open=True)
        await gate.passed(_soon())
        assert gate.primary == "alpha"

    _run(work)
