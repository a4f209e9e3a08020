"""The fleet's lease, held while a command works: taken, renewed beside the work, checked before each act, given back.

Rule: whoever is not sure to hold it does not hold it. A renewal that was not answered in time counts as lost here even
if the store still lists us; the store, which compares the lease in each swap, has the last word anyway.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from failover.engine.clock import Clock
from failover.errors import LeaseLost, Unreachable
from failover.ports.record import Lease, RecordStore

FLEET = "fleet"
_CALL_S = 3.0


class FleetLease:
    """``with FleetLease(...) as guard``: entering raises ``LeaseHeld`` (who, since when) or ``Unreachable``."""

    def __init__(
        self, *, store: RecordStore, owner: str, ttl_s: float, clock: Clock, name: str = FLEET, beside: bool = True
    ) -> None:
        self._store = store
        self._name = name
        self._owner = owner
        self._ttl_s = ttl_s
        self._clock = clock
        self._beside = beside
        self._lease: Lease | None = None
        self._until_s = 0.0
        self._lost = ""
        self._store_gone = False
        self.trouble = ""
        """Why the lease could not be given back at the end; it expires by itself then."""
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._renew_on, name="lease", daemon=True)

    @property
    def lease(self) -> Lease:
        """The lease to write the record with. Raises ``LeaseLost`` before it was taken."""
        if self._lease is None:
            raise LeaseLost(f"the lease {self._name!r} was never taken")
        return self._lease

    def check(self) -> None:
        """Raises ``LeaseLost`` when it is gone or could not be renewed in time. Asks nobody."""
        if not self._lost and self._clock.boottime() >= self._until_s:
            self._lost = f"it could not be renewed for {self._ttl_s:g} s"
        if self._lost:
            raise LeaseLost(f"the lease {self._name!r} was lost: {self._lost}", hint="failover status shows who has it")

    def store_is_gone(self) -> None:
        """The store itself was destroyed: nobody is left to give the lease back to, or to wait for."""
        self._store_gone = True

    def renew_now(self) -> float:
        """Renew once; returns the seconds after which to renew again. Never raises: ``check`` tells."""
        asked_s = self._clock.boottime()
        try:
            self._store.renew(self.lease, deadline_s=max(0.2, self._ttl_s / 3))
        except LeaseLost as error:
            self._lost = error.message
        except Unreachable:
            return self._ttl_s / 10  # until_s stands still: the time runs out unless a later one is answered
        else:
            self._until_s = asked_s + self._ttl_s
        return self._ttl_s / 3

    def __enter__(self) -> Self:
        asked_s = self._clock.boottime()
        self._lease = self._store.acquire(name=self._name, owner=self._owner, ttl_s=self._ttl_s, deadline_s=_CALL_S)
        self._until_s = asked_s + self._ttl_s
        if self._beside:
            self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._store_gone:
            return  # and a renewal that still waits for a dead voter is not waited for
        if self._beside:
            self._thread.join()
        try:
            self._store.release(self.lease, deadline_s=_CALL_S)
        except Unreachable as unanswered:
            self.trouble = f"the lease could not be given back and expires by itself: {unanswered}"

    def _renew_on(self) -> None:
        wait_s = self._ttl_s / 3
        while not self._ending.wait(wait_s) and not self._lost:
            wait_s = self.renew_now()
