"""One run per stack. The lease dies with its holder; what a killed holder left running is waited for, not run over."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from infra.processes import start_ticks
from stacks import checkpoint
from stacks.engine import now, stop_asked
from stacks.failures import StackFailure
from stacks.request import Asker, Layout

_TICK_S = 0.05
_ORPHAN_PATIENCE_S = 25.0


class _Holder(msgspec.Struct, frozen=True, kw_only=True):
    asker: Asker
    operation: str
    since: str


@contextlib.contextmanager
def held(layout: Layout, operation: str, asker: Asker, end: float) -> Iterator[None]:
    """Alone with the stack. Raises ``StackFailure`` lease-held while another run is alive.

    A run whose caller was killed is brought to its end by itself; it is waited for. ``asker`` is our own caller.
    """
    descriptor = os.open(layout.lease, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _try_lock(descriptor):
            _refuse_if_wanted(layout)
            _pause(end, "the run of a caller that was killed")
        holder = _Holder(asker=asker, operation=operation, since=_utc_now())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, msgspec.json.encode(holder), 0)
        _await_orphans(layout, end)
        for lock in checkpoint.live_locks(layout):
            raise StackFailure(
                "lease-held",
                f"pulumi works on this stack: process {lock.pid} of {lock.user} at {lock.host} since {lock.since}",
                "wait for it to end; if that machine is gone for good, remove " + str(lock.path),
            )
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _refuse_if_wanted(layout: Layout) -> None:
    try:
        holder = msgspec.json.decode(layout.lease.read_bytes(), type=_Holder)
    except msgspec.DecodeError:
        return  # being written this instant
    if start_ticks(holder.asker.pid) == holder.asker.start_ticks:
        raise StackFailure(
            "lease-held",
            f"another run holds this stack: {holder.operation} of process {holder.asker.pid} since {holder.since}",
            "wait for it to end, then run the command again",
        )


def _await_orphans(layout: Layout, end: float) -> None:
    """Engines and plug-ins of a killed run finish what they do; one that hangs is interrupted once, then killed."""
    patience, number = now() + _ORPHAN_PATIENCE_S, signal.SIGINT
    while orphans := _marked(layout.mark):
        if now() >= patience:
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            patience, number = now() + _ORPHAN_PATIENCE_S / 2, signal.SIGKILL
        _pause(end, f"processes {orphans} of a killed run")


def _marked(mark: str) -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                if mark.encode() in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                    found.append(int(name))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                continue
    return found


def _pause(end: float, what: str) -> None:
    if stop_asked:
        raise StackFailure("interrupted", f"interrupted while waiting for {what}")
    if now() >= end:
        raise StackFailure("timeout", f"{what} did not end in time", "run the command again")
    time.sleep(_TICK_S)


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
