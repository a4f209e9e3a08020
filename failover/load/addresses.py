"""Which of a name's addresses a client tries, in which order: its own favourite first, the lately dead last. Pure.

As browsers and HTTP libraries do it: a client stays with one address while it works, tries the others of the RRset
when it does not connect, and does not run into the same wall with every request.
"""

from __future__ import annotations

from collections.abc import Sequence

DEAD_FOR_S = 2.0
PROBE_FOR_S = 0.5


class AddressBook:
    """Remembers for ``dead_for_s`` which addresses did not answer. After that one request tries the address again
    while the others still avoid it for ``PROBE_FOR_S``: a whole burst waiting 0.25 s each would measure us, not it."""

    def __init__(self, *, dead_for_s: float = DEAD_FOR_S) -> None:
        self._dead_for_s = dead_for_s
        self._avoid_until: dict[str, float] = {}

    def order(self, addresses: Sequence[str], *, client: int, now_s: float, avoid: str = "") -> tuple[str, ...]:
        """Every address once. ``avoid`` (where the last attempt failed) and the dead go last, never away: when all
        are dead, trying is all that is left."""
        if not addresses:
            return ()
        ranked = sorted(addresses)
        start = client % len(ranked)
        ranked = ranked[start:] + ranked[:start]
        good: list[str] = []
        bad: list[str] = []
        for address in ranked:
            until = self._avoid_until.get(address)
            if until is not None and now_s >= until:
                # Still unproven: this caller probes, the others wait for what it finds.
                self._avoid_until[address] = now_s + PROBE_FOR_S
                until = None
            (bad if until is not None or address == avoid else good).append(address)
        return (*good, *bad)

    def dead(self, address: str, *, now_s: float) -> None:
        """It did not take a connection, or hung."""
        self._avoid_until[address] = now_s + self._dead_for_s

    def alive(self, address: str) -> None:
        """It answered."""
        self._avoid_until.pop(address, None)
