"""A record store in memory with a clock of its own: for tests above the port. The contract suite runs on it too."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from failover.adapters.record_value import check_not_rolled_back, decode_record, encode_record
from failover.errors import LeaseHeld, LeaseLost
from failover.model.record import Record, illegal
from failover.ports.record import Lease, LeaseView


@dataclass
class Shared:
    """What several fakes see as one store. ``now_s`` is its clock: move it to let leases expire."""

    content: bytes | None = None
    leases: dict[str, tuple[Lease, float]] = field(default_factory=dict)
    tokens: int = 0
    now_s: float = 1000.0
    changed: threading.Condition = field(default_factory=threading.Condition)  # its lock may be taken twice


class MemoryRecordStore:
    """``RecordStore`` on a ``Shared``."""

    def __init__(self, shared: Shared | None = None) -> None:
        self.shared = shared if shared is not None else Shared()
        self._seen = (0, 0)

    def read(self, *, deadline_s: float) -> Record | None:
        with self.shared.changed:
            record = self._stored()
            check_not_rolled_back(seen=self._seen, record=record, where="memory")
            if record is not None:
                self._seen = max(self._seen, (record.epoch, record.revision))
            return record

    def create(self, record: Record, *, lease: Lease, deadline_s: float) -> bool:
        fault = illegal(None, record)
        if fault:
            raise ValueError(fault)
        with self.shared.changed:
            self._require(lease)
            if self.shared.content is not None:
                return False
            self._store(record)
            return True

    def swap(self, *, expected_revision: int, new: Record, lease: Lease, deadline_s: float) -> bool:
        with self.shared.changed:
            self._require(lease)
            before = self._stored()
            if before is None or before.revision != expected_revision:
                return False
            fault = illegal(before, new)
            if fault:
                raise ValueError(fault)
            self._store(new)
            return True

    def acquire(self, *, name: str, owner: str, ttl_s: float, deadline_s: float) -> Lease:
        with self.shared.changed:
            view = self.holder(name=name, deadline_s=deadline_s)
            if view is not None:
                raise LeaseHeld(f"held by {view.owner} since {view.since}")
            self.shared.tokens += 1
            old = self.shared.leases.get(name)
            after = LeaseView(name=name, owner=old[0].owner, since="2026-11-23T00:00:00.000Z") if old else None
            lease = Lease(name=name, owner=owner, token=str(self.shared.tokens), ttl_s=ttl_s, after=after)
            self.shared.leases[name] = (lease, self.shared.now_s + ttl_s)
            return lease

    def renew(self, lease: Lease, *, deadline_s: float) -> None:
        with self.shared.changed:
            self._require(lease)
            self.shared.leases[lease.name] = (lease, self.shared.now_s + lease.ttl_s)

    def release(self, lease: Lease, *, deadline_s: float) -> None:
        with self.shared.changed:
            held = self.shared.leases.get(lease.name)
            if held is not None and held[0].token == lease.token:
                del self.shared.leases[lease.name]

    def holder(self, *, name: str, deadline_s: float) -> LeaseView | None:
        with self.shared.changed:
            held = self.shared.leases.get(name)
            if held is None or held[1] <= self.shared.now_s:
                return None
            return LeaseView(name=name, owner=held[0].owner, since="2026-11-23T00:00:00.000Z")

    def wait_change(self, *, after_revision: int, timeout_s: float) -> Record | None:
        def newer() -> bool:
            record = self._stored()
            return record is not None and record.revision > after_revision

        with self.shared.changed:
            return self._stored() if self.shared.changed.wait_for(newer, timeout=timeout_s) else None

    def close(self) -> None:
        pass

    def _stored(self) -> Record | None:
        return None if self.shared.content is None else decode_record(self.shared.content, where="memory")

    def _store(self, record: Record) -> None:
        self.shared.content = encode_record(record)
        self.shared.changed.notify_all()

    def _require(self, lease: Lease) -> None:
        held = self.shared.leases.get(lease.name)
        if held is None or held[0].token != lease.token or held[1] <= self.shared.now_s:
            raise LeaseLost(f"the lease {lease.name!r} of {lease.owner} is gone")
