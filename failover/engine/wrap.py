"""Wrappers of the record's port, each the same port again: timing, retry of reads, scripted faults. Composed in wiring.

What must never be here: retry of anything that changes something. A swap that was not answered is looked at, not sent
again.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from failover.errors import OutcomeUnknown, Unreachable
from failover.model.record import Record
from failover.ports.record import Lease, LeaseView, RecordStore

_T = TypeVar("_T")


class _Through:
    """Passes every call on; the wrappers below change what they are about."""

    def __init__(self, inner: RecordStore) -> None:
        self._inner = inner

    def read(self, *, deadline_s: float) -> Record | None:
        """See the port."""
        return self._do("read", lambda: self._inner.read(deadline_s=deadline_s))

    def create(self, record: Record, *, lease: Lease, deadline_s: float) -> bool:
        """See the port."""
        return self._do("create", lambda: self._inner.create(record, lease=lease, deadline_s=deadline_s))

    def swap(self, *, expected_revision: int, new: Record, lease: Lease, deadline_s: float) -> bool:
        """See the port."""
        return self._do(
            "swap",
            lambda: self._inner.swap(expected_revision=expected_revision, new=new, lease=lease, deadline_s=deadline_s),
        )

    def acquire(self, *, name: str, owner: str, ttl_s: float, deadline_s: float) -> Lease:
        """See the port."""
        return self._do(
            "acquire", lambda: self._inner.acquire(name=name, owner=owner, ttl_s=ttl_s, deadline_s=deadline_s)
        )

    def renew(self, lease: Lease, *, deadline_s: float) -> None:
        """See the port."""
        self._do("renew", lambda: self._inner.renew(lease, deadline_s=deadline_s))

    def release(self, lease: Lease, *, deadline_s: float) -> None:
        """See the port."""
        self._do("release", lambda: self._inner.release(lease, deadline_s=deadline_s))

    def holder(self, *, name: str, deadline_s: float) -> LeaseView | None:
        """See the port."""
        return self._do("holder", lambda: self._inner.holder(name=name, deadline_s=deadline_s))

    def wait_change(self, *, after_revision: int, timeout_s: float) -> Record | None:
        """See the port."""
        return self._do(
            "wait_change", lambda: self._inner.wait_change(after_revision=after_revision, timeout_s=timeout_s)
        )

    def close(self) -> None:
        """See the port."""
        self._inner.close()

    def _do(self, name: str, call: Callable[[], _T]) -> _T:
        return call()


class TimedRecordStore(_Through):
    """Tells ``observe(call, seconds)`` of each call, also of one that raised."""

    def __init__(self, inner: RecordStore, *, observe: Callable[[str, float], None]) -> None:
        super().__init__(inner)
        self._observe = observe

    def _do(self, name: str, call: Callable[[], _T]) -> _T:
        with _timed(lambda seconds: self._observe(name, seconds)):
            return call()


class RetryingRecordStore(_Through):
    """Asks again, up to ``tries`` times with a growing, scattered pause, when ``read`` or ``holder`` is unreachable."""

    def __init__(
        self,
        inner: RecordStore,
        *,
        tries: int,
        pause_s: float,
        chance: random.Random,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(inner)
        self._tries = tries
        self._pause_s = pause_s
        self._chance = chance
        self._sleep = sleep

    def _do(self, name: str, call: Callable[[], _T]) -> _T:
        if name not in ("read", "holder"):
            return call()
        for attempt in range(self._tries - 1):
            try:
                return call()
            except Unreachable:
                self._sleep(self._pause_s * 2**attempt * self._chance.uniform(0.5, 1.5))
        return call()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What befalls one call named ``call``: "lost request" (not applied), "lost reply" (applied), or "delay"."""

    call: str
    kind: str
    delay_s: float = 0.0


class FaultyRecordStore(_Through):
    """Spends one ``Fault`` per matching call, in order; calls without one pass through. For tests and drills."""

    def __init__(
        self, inner: RecordStore, *, faults: tuple[Fault, ...], sleep: Callable[[float], None] = time.sleep
    ) -> None:
        super().__init__(inner)
        self._faults = list(faults)
        self._sleep = sleep

    def _do(self, name: str, call: Callable[[], _T]) -> _T:
        fault = next((one for one in self._faults if one.call == name), None)
        if fault is None:
            return call()
        self._faults.remove(fault)
        self._sleep(fault.delay_s)
        changing = name in ("swap", "create")
        if fault.kind == "lost request":
            raise (OutcomeUnknown if changing else Unreachable)(f"{name}: the request was lost", where="fault script")
        answer = call()
        if fault.kind == "lost reply":
            raise (OutcomeUnknown if changing else Unreachable)(f"{name}: the reply was lost", where="fault script")
        return answer


@contextmanager
def _timed(tell: Callable[[float], None]) -> Iterator[None]:
    began_s = time.perf_counter()
    try:
        yield
    finally:
        tell(time.perf_counter() - began_s)
