"""The right to change the fleet, for one command: a file lock on this machine, and the record's lease if there is one.

A fleet's first deploy begins before there are voters; then the file lock alone keeps two runs of this machine apart,
and the record's lease is taken as soon as a majority of voters answers.
"""

from __future__ import annotations

import fcntl
import os
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from failover.engine.clock import Clock
from failover.engine.lease import FLEET, FleetLease
from failover.errors import LeaseHeld, Unreachable
from failover.model.units import utc_text
from failover.operations.wired import Wired
from failover.ports.record import Lease, LeaseView

TTL_S = 15.0
_EXPIRY_SLACK_S = 5.0
_LOCKS = {FLEET: "run.lock"}
_OWNER = re.compile(r"^[^@]*@(?P<host>\S+) pid (?P<pid>\d+)\b")  # as ``ports.journal.Owner`` prints itself


class _Holder(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the lock's file. ``lease``: the record's, once it is held. Whoever has the lock finds here what
    the one before left behind, and that one is gone: the kernel freed its lock."""

    owner: str
    since: str
    lease: Lease | None = None


class RunGuard:
    """The engine's guard. Before the record's lease is held, the file lock is all there is to lose, and it is not."""

    def __init__(
        self,
        wired: Wired,
        owner: str,
        clock: Clock,
        stack: ExitStack,
        lock: _LockFile,
        tell: Callable[[str], None],
        name: str,
    ) -> None:
        self._wired = wired
        self._owner = owner
        self._clock = clock
        self._stack = stack
        self._lock = lock
        self._tell = tell
        self._name = name
        self._dead: LeaseView | None = None
        self._held: FleetLease | None = None
        self.took_over = ""
        """From whom, and since when that one had it, if it never gave the lease back."""

    @property
    def lease(self) -> Lease | None:
        """The record's lease, once it is held."""
        return self._held.lease if self._held is not None else None

    def check(self) -> None:
        """Raises ``LeaseLost`` when the record's lease was held and is gone."""
        if self._held is not None:
            self._held.check()

    def record_is_gone(self) -> None:
        """The fleet, and with it the voters, was destroyed by this run."""
        if self._held is not None:
            self._held.store_is_gone()

    def take(self) -> Lease:
        """Take the record's lease now. Raises ``LeaseHeld`` or ``Unreachable``."""
        until_s = self._clock.boottime() + TTL_S + _EXPIRY_SLACK_S
        while self._held is None:
            lease = FleetLease(
                store=self._wired.record, owner=self._owner, ttl_s=TTL_S, clock=self._clock, name=self._name
            )
            try:
                self._held = self._stack.enter_context(lease)
            except LeaseHeld:
                if self._clock.boottime() > until_s or not self._held_by_the_dead():
                    raise
                self._clock.sleep(0.1)
            else:
                self._lock.note(self._held.lease)
                self._say_whose_it_was(self._held.lease.after or self._dead)
        return self._held.lease

    def _say_whose_it_was(self, before: LeaseView | None) -> None:
        if before is not None:
            self.took_over = f"took over the lease of {before.owner}, held since {before.since} and never given back"
            self._tell(f"{self.took_over}; whatever that one still sends is refused")

    def _held_by_the_dead(self) -> bool:
        """The holder was a process of this machine that is gone. One that held this very lock left its lease in the
        lock's file: it is given back in its place, so that nothing it sent can still arrive. Another's must run out."""
        holder = self._wired.record.holder(name=self._name, deadline_s=2.0)
        if holder is None:
            return True
        left = self._lock.left
        if left is not None and left.owner == holder.owner:
            self._wired.record.release(left, deadline_s=2.0)
            self._dead = holder
            return True
        found = _OWNER.match(holder.owner)
        here = found is not None and found["host"] == socket.gethostname()
        return found is not None and here and not Path(f"/proc/{found['pid']}").exists()


@contextmanager
def run_lease(
    wired: Wired,
    *,
    owner: str,
    clock: Clock,
    record_needed: bool,
    tell: Callable[[str], None],
    name: str = FLEET,
) -> Iterator[RunGuard]:
    """Hold both, of that ``name``; ``tell`` hears whose lease was taken over. Raises ``LeaseHeld`` with who and since
    when; ``Unreachable`` when the record's is needed and no majority of the voters answers."""
    with ExitStack() as stack:
        lock = stack.enter_context(_file_lock(wired.state_dir / _LOCKS.get(name, f"{name}.lock"), owner))
        guard = RunGuard(wired, owner, clock, stack, lock, tell, name)
        try:
            guard.take()
        except Unreachable:
            if record_needed:
                raise
        yield guard


class _LockFile:
    """The locked file: ``left`` is the lease that the one before it noted there."""

    def __init__(self, descriptor: int, owner: str) -> None:
        self._descriptor = descriptor
        self._mine = _Holder(owner=owner, since=utc_text(datetime.now(UTC)))
        before = _content(descriptor)
        self.left = before.lease if before is not None else None
        self.note(self.left)  # kept until ours is there: who dies in between leaves it to the next

    def note(self, lease: Lease | None) -> None:
        """Write down who holds the lock, and with which lease."""
        text = msgspec.json.encode(msgspec.structs.replace(self._mine, lease=lease))
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text, 0)


@contextmanager
def _file_lock(path: Path, owner: str) -> Iterator[_LockFile]:
    """An exclusive lock for as long as this lasts; the kernel frees it when the process dies, however it dies."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _held(descriptor, path) from error
        yield _LockFile(descriptor, owner)
    finally:
        os.close(descriptor)


def _content(descriptor: int) -> _Holder | None:
    try:
        return msgspec.json.decode(os.pread(descriptor, 4096, 0), type=_Holder)
    except msgspec.MsgspecError:
        return None  # new, or its writer died in the middle


def _held(descriptor: int, path: Path) -> LeaseHeld:
    holder = _content(descriptor) or _Holder(owner="another process", since="just now")
    return LeaseHeld(
        f"another run holds the lease: {holder.owner}, since {holder.since}",
        where=str(path),
        hint="wait for it to end; failover journal list shows what it does",
    )
