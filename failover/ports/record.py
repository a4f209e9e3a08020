"""Port: the record store. Linearizable read, compare-and-swap, leases. See safety C for why each call is as it is."""

from __future__ import annotations

from typing import Protocol

import msgspec

from failover.model.record import Record


class LeaseView(msgspec.Struct, frozen=True, kw_only=True):
    """Who holds a lease, for messages: ``owner`` says user, host, pid and command; ``since`` is RFC 3339."""

    name: str
    owner: str
    since: str


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """A time-limited right to write, held under ``name``. ``token`` differs each time it is acquired.

    The store expires it by its own clock; a holder that was frozen finds its swaps refused, whatever it believes.
    ``after``: who had it last and never gave it back (``None``: it was given back, or nobody had it). That one may be
    dead or asleep, and is refused if it wakes.
    """

    name: str
    owner: str
    token: str
    ttl_s: float
    after: LeaseView | None = None


class RecordStore(Protocol):
    """Get, compare-and-swap, lease. Every call blocks at most ``deadline_s`` and is safe to repeat as said below.

    Raises ``Unreachable`` when no majority answered in time (for ``swap`` and ``create``: ``OutcomeUnknown`` when the
    request may have been applied: read again and compare before doing anything else), ``Damaged`` when what is stored
    cannot be decoded or is no legal transition.
    """

    def read(self, *, deadline_s: float) -> Record | None:
        """The record as of now, linearizable (never from a lagging follower); ``None`` when none was ever written."""
        ...

    def create(self, record: Record, *, lease: Lease, deadline_s: float) -> bool:
        """Write the first record. ``False``: there is one already. Needs ``lease`` alive, else ``LeaseLost``."""
        ...

    def swap(self, *, expected_revision: int, new: Record, lease: Lease, deadline_s: float) -> bool:
        """Replace the record if its revision is ``expected_revision`` AND ``lease`` is alive, in one transaction.

        ``False``: somebody else wrote first. ``LeaseLost``: the lease is not ours any more. ``ValueError``: ``new``
        is no legal successor. Never retried inside.
        """
        ...

    def acquire(self, *, name: str, owner: str, ttl_s: float, deadline_s: float) -> Lease:
        """Take the lease or raise ``LeaseHeld`` naming the holder and since when."""
        ...

    def renew(self, lease: Lease, *, deadline_s: float) -> None:
        """Make it last another ``ttl_s``. Raises ``LeaseLost`` when it is gone."""
        ...

    def release(self, lease: Lease, *, deadline_s: float) -> None:
        """Give it back. Repeatable; silent when it is gone already."""
        ...

    def holder(self, *, name: str, deadline_s: float) -> LeaseView | None:
        """Who holds it now, or ``None``."""
        ...

    def wait_change(self, *, after_revision: int, timeout_s: float) -> Record | None:
        """Block until the record's revision exceeds ``after_revision``, or ``timeout_s`` passed (then ``None``)."""
        ...

    def close(self) -> None:
        """Free connections. Repeatable."""
        ...
