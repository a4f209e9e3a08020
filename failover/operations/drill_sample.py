"""Watches while a drill runs: which sites take a commit, how the record changes, when it is protected."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import msgspec

from failover.errors import FailoverError
from failover.model.ledger import WritableSample
from failover.model.record import Record
from failover.ports.measure import Measure
from failover.ports.record import RecordStore

_WRITE_EVERY_S = 0.2
_WRITE_TIMEOUT_S = 0.4


class RecordSeen(msgspec.Struct, frozen=True, kw_only=True):
    """The record as it was from ``at_s`` (CLOCK_BOOTTIME) on."""

    at_s: float
    record: Record


class Sampler:
    """Threads that only look. Use as a context; ``samples`` and ``records`` are complete after it."""

    def __init__(self, *, sites: tuple[str, ...], measure: Measure, store: RecordStore) -> None:
        self._sites = sites
        self._measure = measure
        self._store = store
        self._stop = threading.Event()
        self.samples: list[WritableSample] = []
        self.records: list[RecordSeen] = []
        self._threads = [threading.Thread(target=self._try_commits, args=(site,), daemon=True) for site in sites]
        self._threads.append(threading.Thread(target=self._follow_record, daemon=True))

    def __enter__(self) -> Sampler:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=3.0)

    def _try_commits(self, site: str) -> None:
        while not self._stop.is_set():
            asked = _boot_s()
            ok = self._measure.commits(site, timeout_s=_WRITE_TIMEOUT_S)
            self.samples.append(WritableSample(site=site, asked_s=asked, answered_s=_boot_s(), writable=ok))
            self._stop.wait(_WRITE_EVERY_S)

    def _follow_record(self) -> None:
        revision = 0
        while not self._stop.is_set():
            try:
                record = self._store.wait_change(after_revision=revision, timeout_s=0.5)
            except FailoverError:
                # No majority for a moment: the change is seen when there is one again, and never earlier than it was.
                self._stop.wait(0.05)
                continue
            if record is not None:
                revision = record.revision
                self.records.append(RecordSeen(at_s=_boot_s(), record=record))

    def wait_for_epoch(self, epoch: int, *, deadline_s: float) -> RecordSeen | None:
        """The first sight of ``epoch`` or a later one."""
        return self._wait(lambda seen: seen.record.epoch >= epoch, deadline_s)

    def wait_protected(self, *, from_s: float, deadline_s: float) -> RecordSeen | None:
        """The first sight, from ``from_s`` on, of a record with a sync member."""
        return self._wait(lambda seen: bool(seen.record.sync), deadline_s, from_s=from_s)

    def wait_record(
        self, wanted: Callable[[Record], bool], *, from_s: float, deadline_s: float
    ) -> RecordSeen | None:
        """The first sight of a record as ``wanted`` that was in force at ``from_s`` or later."""
        return self._wait(lambda seen: wanted(seen.record), deadline_s, from_s=from_s)

    def _wait(
        self, wanted: Callable[[RecordSeen], bool], deadline_s: float, *, from_s: float = 0.0
    ) -> RecordSeen | None:
        end = _boot_s() + deadline_s
        while True:
            # The state that was in force at from_s counts too: it is the last one seen before.
            before = [seen for seen in self.records if seen.at_s <= from_s][-1:]
            since = [seen for seen in self.records if seen.at_s > from_s]
            for seen in [*before, *since]:
                if wanted(seen):
                    return seen
            if _boot_s() >= end:
                return None
            time.sleep(0.02)

    def unprotected_s(self, *, from_s: float, until_s: float) -> float:
        """Seconds within the stretch in which the record listed no sync member."""
        total = 0.0
        for index, seen in enumerate(self.records):
            ends = self.records[index + 1].at_s if index + 1 < len(self.records) else until_s
            if not seen.record.sync:
                total += max(0.0, min(ends, until_s) - max(seen.at_s, from_s))
        return round(total, 3)


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
