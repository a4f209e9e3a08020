"""Port: the agents of the fleet, as the operator's side reaches them. Mutual TLS; changes carry a signature."""

from __future__ import annotations

from typing import Protocol

from failover.model.certificate import Certificate
from failover.model.observation import AgentState, DatabaseFacts, GateFacts
from failover.model.secret import Secret
from failover.model.spec import HostSpec


class Hosts(Protocol):
    """One agent per site. Every call names its site and blocks at most ``deadline_s``.

    Raises ``Unreachable`` when the agent did not answer (``OutcomeUnknown`` for calls that change something and were
    sent), ``Denied`` when a certificate, signature or token was refused, ``Refused`` when the agent said no (a lower
    epoch, another run's hold, a move that is not in the record): nothing was changed then.
    """

    def state(self, site: str, *, deadline_s: float) -> AgentState:
        """What the agent knows now. Repeatable, changes nothing."""
        ...

    def certificates(self, site: str, *, deadline_s: float) -> tuple[Certificate, ...]:
        """What was saved there before a copy was rewound or removed. Repeatable, changes nothing."""
        ...

    def enrol(self, site: str, *, token: Secret, deadline_s: float) -> bool:
        """Have the host's key signed. Repeatable: ``False`` when the host holds a certificate of ours already."""
        ...

    def put_spec(self, site: str, spec: HostSpec, *, deadline_s: float) -> None:
        """Replace the host's spec; returns once it is stored, not once all of it runs. Repeatable."""
        ...

    def hold(self, site: str, *, run: str, epoch: int, budget_s: float, deadline_s: float) -> GateFacts:
        """Close the gates for ``run`` and answer when nothing is in flight or ``deadline_s`` is near. Repeatable by
        the same run; the agent releases by itself after ``budget_s``."""
        ...

    def quiesce(
        self, site: str, *, run: str, epoch: int, budget_s: float, slow_s: float, deadline_s: float
    ) -> GateFacts:
        """For an app without a gate: workers stop writing, slow requests are waited for ``slow_s`` at most;
        ``in_flight`` says how many are left. Repeatable; over by itself after ``budget_s``. ``Refused``: a
        hook failed."""
        ...

    def release(self, site: str, *, run: str, deadline_s: float) -> GateFacts:
        """End the run's hold and quiesce. Repeatable; silent when there is none."""
        ...

    def stop_primary(self, site: str, *, run: str, budget_s: float, deadline_s: float) -> DatabaseFacts:
        """Stop PostgreSQL cleanly; allowed only while the record's live move is this run's and starts at this site.

        Not stopped within ``budget_s``: the agent stops it hard, starts it as primary again and raises ``Refused``.
        """
        ...

    def await_primary(self, site: str, *, deadline_s: float) -> AgentState:
        """The agent's state as soon as its site is the record's primary, or as it is at the deadline."""
        ...

    def await_received(self, site: str, *, lsn: int, deadline_s: float) -> DatabaseFacts:
        """Answer as soon as the site's standby has flushed past ``lsn``, or at the deadline with what it has."""
        ...

    def terminate_writers(self, site: str, *, run: str, deadline_s: float) -> tuple[str, ...]:
        """End sessions that still hold a write transaction under this run's hold; returns what was ended."""
        ...

    def checkpoint(self, site: str, *, deadline_s: float) -> None:
        """CHECKPOINT (a restartpoint on a standby). Repeatable."""
        ...

    def migrate(self, site: str, *, deadline_s: float) -> str:
        """Run the app's migrations at the primary and return what they said. Repeatable by the app's own table."""
        ...

    def nudge(self, site: str, *, deadline_s: float) -> None:
        """Ask the keeper to read the record now instead of at its next tick. Repeatable, commands nothing."""
        ...

    def close(self) -> None:
        """Free connections. Repeatable."""
        ...
