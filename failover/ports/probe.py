"""Port: what one host can see of another, and the gates of its own app processes."""

from __future__ import annotations

from typing import Protocol

import msgspec

from failover.model.observation import AgentState


class PeerProbe(Protocol):
    """Looks at peers. Never raises for a peer that does not answer: that is the answer."""

    async def database_answers(self, *, address: str, port: int, timeout_s: float) -> bool:
        """TCP and one byte of PostgreSQL's protocol: a frozen host still accepts, but does not answer."""
        ...

    async def database_hangs_up(self, *, address: str, port: int) -> bool:
        """Connect like ``database_answers`` and return true when the other end closes; false at once when nobody
        answers there, or after a long silence. A dying database closes its connections itself, so nobody has to come
        and look; silence says nothing here."""
        ...

    async def agent_state(self, *, address: str, port: int, timeout_s: float) -> AgentState | None:
        """The peer agent's state, or ``None``."""
        ...

    async def agent_serves(
        self, *, address: str, port: int, epoch: int, wait_s: float, timeout_s: float
    ) -> AgentState | None:
        """The peer agent's state the moment it serves in ``epoch``, or as it is after ``wait_s``; ``None`` when it does
        not answer within ``timeout_s`` on top of that."""
        ...

    async def nudge(self, *, address: str, port: int, timeout_s: float) -> None:
        """Ask the peer's keeper to look at the record now. Best effort by nature: it looks by itself soon after."""
        ...

    async def close(self) -> None:
        """Free connections."""
        ...


class GateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one gate says: of one app process, or of the edge in front of all of them. ``streams``: open ones that pass
    the gate and end with a move."""

    state: str
    primary: str
    epoch: int
    in_flight: int
    waiting: int
    streams: int = 0


class AppGate(Protocol):
    """The gate inside one app process, or the edge of an app without one. Raises ``Unreachable`` when it does not
    answer in time. An answer may say "hold" to an "open": there is nobody yet who could serve."""

    async def tell(
        self, *, state: str, primary: str, epoch: int, fresh_until_s: float, wait_s: float = 0.0
    ) -> GateAnswer:
        """Set it; with ``wait_s`` answer once nothing is in flight, or after it."""
        ...
