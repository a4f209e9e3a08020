"""What the handlers of one run share: the wired parts, and what one step has learned that the next needs.

Inside the pause of a move every round trip is felt by users; so a step leaves here what its one call observed, and the
look after it reads that instead of asking again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from failover.engine.handler import Context
from failover.errors import FailoverError
from failover.model.observation import DatabaseFacts
from failover.model.plan import AwaitPrimary, Migrate
from failover.model.record import Record
from failover.operations.pace import Flow
from failover.operations.wired import Wired
from failover.ports.provisioner import StackProgress
from failover.ports.record import Lease

T = TypeVar("T")

CALL_S = 2.0
"""Longest single call to an agent or the record outside the budgets a plan names."""


def quiet(_progress: object) -> None:
    """Nobody watches."""


@dataclass(slots=True, kw_only=True)
class Session:
    """``resumed``: an earlier process may have performed steps of this run, so every first look must really look."""

    wired: Wired
    resumed: bool = False
    progress: Callable[[StackProgress], None] = quiet
    flow: Callable[[Flow], None] = quiet
    record_lease: Callable[[], Lease | None] = lambda: None
    idle_writers: frozenset[str] = frozenset()
    swapped: Record | None = None
    stopped: DatabaseFacts | None = None
    received: DatabaseFacts | None = None
    seen_done: dict[str, str] = field(default_factory=dict)
    _looked: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def untouched(self, context: Context) -> bool:
        """True for the first look at a step of a run that no other process has carried out before: then it cannot be
        done yet, and asking would cost the pause a round trip."""
        key = f"{context.step.id}/{'undo' if context.undoing else 'do'}"
        with self._lock:
            first = key not in self._looked
            self._looked.add(key)
        return first and not self.resumed and not context.undoing

    def done(self, context: Context, detail: str) -> str:
        """Remember that the step's own call observed its end."""
        with self._lock:
            self.seen_done[context.step.id] = detail
        return detail

    def observed(self, context: Context) -> str:
        """What ``done`` remembered, or ``""``."""
        with self._lock:
            return "" if context.undoing else self.seen_done.get(context.step.id, "")

    def nudge(self, context: Context, sites: Iterable[str]) -> None:
        """Wake the keepers there, without waiting for their answers. Best effort: each finds the change by itself
        within its tick."""

        def wake(site: str) -> None:
            try:
                self.wired.hosts.nudge(site, deadline_s=within(context, 0.5))
            except FailoverError as error:
                context.note(f"{site} was not nudged: {error}")

        for site in sites:
            threading.Thread(target=wake, args=(site,), name=f"nudge {site}", daemon=True).start()

    def primary_site(self, action: AwaitPrimary | Migrate, context: Context) -> str:
        """The site that the step is about. A wait that is for whoever is primary reads the record each time."""
        if isinstance(action, AwaitPrimary) and not action.or_whoever:
            return action.site
        record = self.read_record(context)
        return action.site if record is None else record.primary_site

    def read_record(self, context: Context) -> Record | None:
        """The record now, within the step's time."""
        return self.wired.record.read(deadline_s=within(context, CALL_S))


def within(context: Context, most_s: float) -> float:
    """A deadline for one call: ``most_s``, or what is left of the step when that is less."""
    return max(0.05, min(most_s, context.left_s))


def at_once(names: Iterable[str], call: Callable[[str], T]) -> dict[str, T]:
    """``call`` for every name side by side. Raises what the first failing one raised, after all have ended."""
    listed = tuple(names)
    with ThreadPoolExecutor(max_workers=max(1, len(listed)), thread_name_prefix="sites") as pool:
        futures = {name: pool.submit(call, name) for name in listed}
    return {name: future.result() for name, future in futures.items()}
