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

    async def agent_state(self, *, address: str, port: int, timeout_s: float) -> AgentState | None:
        """The peer agent's state, or ``None``."""
        ...

    async def nudge(self, *, address: str, port: int, timeout_s: float) -> None:
        """Ask the peer's keeper to look at the record now. Best effort by nature: it looks by itself soon after."""
        ...

    async def close(self) -> None:
        """Free connections."""
        ...


class GateAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What one app process says of its gate."""

    state: str
    primary: str
    epoch: int
    in_flight: int
    waiting: int


class AppGate(Protocol):
    """The gate inside one app process. Raises ``Unreachable`` when the process does not answer in time."""

    async def tell(
        self, *, state: str, primary: str, epoch: int, fresh_until_s: float, wait_s: float = 0.0
    ) -> GateAnswer:
        """Set it; with ``wait_s`` answer once nothing is in flight, or after it."""
        ...
