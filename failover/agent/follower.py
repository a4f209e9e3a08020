"""Follows the record: reads it steadily and at once when asked, and keeps this keeper's lease alive.

Reads are linearizable and stamped with the instant they *began*: an answer is evidence about the past, not the future.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path

import msgspec

from failover.agent.view import HostView, boot_s
from failover.errors import FailoverError, LeaseHeld, LeaseLost, OutcomeUnknown, Unreachable
from failover.model.record import Record
from failover.ports.record import Lease, RecordStore

_READ_EVERY_S = 0.5
_READ_DEADLINE_S = 1.0
_SWAP_DEADLINE_S = 2.0


class Follower:
    """The one door to the record for this host. Raises nothing out of ``run``: trouble is shown and tried again."""

    def __init__(self, view: HostView, store: RecordStore, *, lease_file: Path, lease_ttl_s: float) -> None:
        self._view = view
        self._store = store
        self._lease_file = lease_file
        self._lease_ttl_s = lease_ttl_s
        self._lease: Lease | None = None

    async def run(self) -> None:
        """Read for ever."""
        while True:
            self._view.look_now.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._view.look_now.wait(), _READ_EVERY_S)

    async def look(self) -> Record | None:
        """Read now; ``None`` when it could not be read, or went back to an epoch from before (the view keeps the last
        one and its age)."""
        asked = boot_s()
        try:
            record = await asyncio.to_thread(self._store.read, deadline_s=_READ_DEADLINE_S)
        except FailoverError as error:
            self._view.trouble["record"] = str(error)
            return None
        self._view.trouble.pop("record", None)
        return record if self._view.saw_record(record, asked_at_s=asked) else None

    async def keep_lease(self) -> None:
        """Hold this keeper's lease for as long as the agent lives."""
        while True:
            try:
                if self._lease is None:
                    self._lease = await asyncio.to_thread(self._acquire)
                else:
                    await asyncio.to_thread(self._store.renew, self._lease, deadline_s=_READ_DEADLINE_S)
                self._view.trouble.pop("lease", None)
            except LeaseLost:
                self._lease = None
                continue
            except FailoverError as error:
                self._view.trouble["lease"] = str(error)
            await asyncio.sleep(self._lease_ttl_s / 4 if self._lease is not None else 0.2)

    def _acquire(self) -> Lease:
        """Take the lease. A predecessor on this very host is dead (its lock is ours), so its lease is given back
        instead of waited for."""
        if self._lease_file.exists():
            with contextlib.suppress(msgspec.MsgspecError):
                old = msgspec.json.decode(self._lease_file.read_bytes(), type=Lease)
                self._store.release(old, deadline_s=_READ_DEADLINE_S)
            self._lease_file.unlink()
        owner = f"keeper at {self._view.site} ({socket.gethostname()}, pid {os.getpid()})"
        lease = self._store.acquire(
            name=f"keeper-{self._view.site}", owner=owner, ttl_s=self._lease_ttl_s, deadline_s=_READ_DEADLINE_S
        )
        self._lease_file.write_bytes(msgspec.json.encode(lease))
        return lease

    async def swap(self, expected_revision: int, new: Record) -> bool:
        """Swap, then look again. True only when the record now is ``new``: an unanswered swap is settled by reading."""
        lease = self._lease
        if lease is None:
            self._view.trouble["swap"] = "no keeper lease: the record cannot be written now"
            return False
        try:
            done = await asyncio.to_thread(
                self._store.swap, expected_revision=expected_revision, new=new, lease=lease, deadline_s=_SWAP_DEADLINE_S
            )
        except (LeaseHeld, LeaseLost):
            self._lease = None
            return False
        except OutcomeUnknown:
            return await self.look() == new
        except Unreachable as error:
            self._view.trouble["swap"] = str(error)
            return False
        self._view.trouble.pop("swap", None)
        if done:
            self._view.saw_record(new, asked_at_s=boot_s())
        else:
            await self.look()
        return done
