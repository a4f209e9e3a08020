"""The gate: may a database transaction start now, and at which site. State only; its socket lives in gate_server.

Must never be here: sockets, SQL, HTTP. The rules that bind this file:
- nothing starts unless the state is open *and* CLOCK_BOOTTIME is before `fresh_until` (a stale agent closes the gate);
- an epoch never goes back;
- whoever moves the primary is told of every transaction still running at the old one, through `on_move`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Literal

import msgspec

State = Literal["open", "hold"]


class Unavailable(Exception):
    """The request's budget ran out before it could be done. Nothing is promised about a write that was tried."""


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """One line to the gate: either a question (`ask`) or the state it shall have from now on."""

    ask: bool = False
    state: State | None = None
    primary: str | None = None
    epoch: int | None = None
    fresh_until: float | None = None
    wait_s: float = 0.0


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate is at this moment."""

    state: State
    primary: str  # "" until somebody said who it is
    epoch: int
    in_flight: int
    waiting: int


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """The request changed nothing, and why."""

    error: str
    epoch: int


def boottime_s() -> float:
    """CLOCK_BOOTTIME in seconds: it goes on while the machine sleeps, so a lease cannot be slept through."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Gate:
    """Decides who may start. Without a socket it is open for ever to the first site (`standing_open`)."""

    def __init__(self, *, sites: tuple[str, ...], standing_open: bool, clock: Callable[[], float] = boottime_s) -> None:
        self._sites = sites
        self._clock = clock
        self.state: State = "open" if standing_open else "hold"
        self.primary: str | None = sites[0] if standing_open else None
        self.epoch = 0
        self.fresh_until = float("inf") if standing_open else 0.0
        self.in_flight = 0
        self.waiting = 0
        self.gave_up = False
        self.on_move: list[Callable[[], None]] = []
        self._opened = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def is_open(self) -> bool:
        return self.state == "open" and self._clock() < self.fresh_until

    def answer(self) -> Answer:
        return Answer(
            state=self.state,
            primary=self.primary or "",
            epoch=self.epoch,
            in_flight=self.in_flight,
            waiting=self.waiting,
        )

    def apply(self, request: Request) -> Refused | None:
        """Take the state of `request`, or refuse it and change nothing (an unknown site also closes the gate)."""
        epoch = self.epoch if request.epoch is None else request.epoch
        if request.state is None:
            return Refused(error="state is missing", epoch=self.epoch)
        if epoch < self.epoch:
            return Refused(error="stale epoch", epoch=self.epoch)
        opening = request.state == "open"
        primary = request.primary or None
        if opening and (primary is None or request.fresh_until is None or request.epoch is None):
            return Refused(error="open needs primary, epoch and fresh_until", epoch=self.epoch)
        moved_within_epoch = primary is not None and self.primary not in (None, primary) and epoch == self.epoch
        if opening and moved_within_epoch:
            # Two primaries in one epoch cannot both be true; believing the later one would be a guess.
            return Refused(error="another primary in the same epoch", epoch=self.epoch)
        if primary is not None and primary not in self._sites:
            self.state = "hold"
            return Refused(error="unknown site", epoch=self.epoch)
        self._take(request, epoch=epoch, primary=self.primary if moved_within_epoch else primary)
        return None

    def _take(self, request: Request, *, epoch: int, primary: str | None) -> None:
        primary = primary or self.primary
        opening = request.state == "open"
        # A hold in a new epoch lets what runs at the same primary finish; a new primary, or opening again, does not.
        moved = primary != self.primary or (opening and epoch != self.epoch)
        self.state, self.epoch, self.primary = request.state or "hold", epoch, primary
        self.fresh_until = request.fresh_until if opening and request.fresh_until is not None else 0.0
        if moved:
            for tell in self.on_move:
                tell()
        if self.is_open:
            self._opened.set()
        else:
            self._opened.clear()

    async def passed(self, deadline: float) -> None:
        """Return once the gate is open and fresh; Unavailable at `deadline` (the event loop's clock)."""
        while not self.is_open:
            self._opened.clear()
            if self.gave_up:
                raise Unavailable("this process is stopping")
            self.waiting += 1
            try:
                async with asyncio.timeout_at(deadline):
                    await self._opened.wait()
            except TimeoutError:
                raise Unavailable("the gate stayed closed") from None
            finally:
                self.waiting -= 1

    def enter(self) -> None:
        """Count one transaction in. Call it in the same step of the loop that looked at `is_open`."""
        self.in_flight += 1
        self._drained.clear()

    def leave(self) -> None:
        self.in_flight -= 1
        if not self.in_flight:
            self._drained.set()

    async def drained(self, wait_s: float) -> bool:
        """True as soon as nothing is in flight, False after `wait_s`."""
        try:
            async with asyncio.timeout(wait_s):
                await self._drained.wait()
        except TimeoutError:
            return False
        return True

    def give_up(self) -> None:
        """Turn away everyone who waits, now and later: the process is stopping."""
        self.gave_up = True
        self._opened.set()
