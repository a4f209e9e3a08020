"""Handlers of the gates: hold, drained, release. Inside the pause each is one call side by side to every site.

What must never be here: opening a gate. A release ends the run's hold; the agent opens to whom the record names.
"""

from __future__ import annotations

from typing import ClassVar

from failover.engine.handler import Context, Looked, See
from failover.errors import FailoverError, Undone
from failover.model.fleet import AppClass
from failover.model.observation import AgentState, GateFacts
from failover.model.plan import AwaitDrained, HoldGates, QuiesceApp, ReleaseGates
from failover.model.spec import HOOK_BUDGET_S
from failover.operations.session import CALL_S, Session, at_once, within

_HOLD_ANSWER_S = 1.0
_POLL_S = 0.01


class QuiesceAppHandler:
    """Workers stop and slow requests end while everybody else is served. A hook that fails stops the move here."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: QuiesceApp, context: Context) -> Looked:
        """Done once both sites said so: what it did ends by itself, and is not to be found out from outside."""
        return Looked(see=See.DONE if context.performed else See.NOT_DONE, detail="")

    def perform(self, action: QuiesceApp, context: Context) -> str:
        """At all sites at once, for at most the budget of slow requests."""
        record = self._session.read_record(context)
        if record is None:
            raise Undone("the record cannot be read", hint="failover status")

        def quiesce(site: str) -> GateFacts:
            return self._session.wired.hosts.quiesce(
                site, run=context.run, epoch=record.epoch, budget_s=action.budget_s, slow_s=action.slow_s,
                deadline_s=within(context, max(action.slow_s, HOOK_BUDGET_S) + CALL_S),
            )  # fmt: skip

        gates = at_once(action.sites, quiesce)
        left = sum(gate.in_flight for gate in gates.values())
        if left:
            context.note(f"{left} slow requests are still on their way after {action.slow_s:g} s")
        return "workers quiesced, no slow request on its way" if not left else f"quiesced, {left} slow requests left"


class HoldGatesHandler:
    """New transactions wait everywhere. A site that cannot hold fails the step, and its undo releases all of them."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: HoldGates, context: Context) -> Looked:
        """Every gate says that it is held for this run."""
        done = self._session.observed(context)
        if done and context.performed:
            return Looked(see=See.DONE, detail=done)
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE, detail="not sent yet")
        states = at_once(action.sites, lambda site: _state(self._session, context, site))
        plain = self._session.wired.fleet.app.promise is AppClass.G4
        # A quiesce is of this run too, but holds nobody yet.
        open_at = [
            name for name, state in states.items()
            if state.gate.hold_run != context.run or (state.gate.state != "hold" and not plain)
        ]  # fmt: skip
        if open_at:
            return Looked(see=See.NOT_DONE, detail=f"not held at {', '.join(open_at)}")
        return Looked(see=See.DONE, detail="held")

    def perform(self, action: HoldGates, context: Context) -> str:
        """Hold at all sites at once, under the epoch of the record as it is now."""
        record = self._session.read_record(context)
        if record is None or record.move is None or record.move.run != context.run:
            raise Undone("this run's move is not in the record any more", hint="run the command again")

        # What is in the app without a transaction yet fails when PostgreSQL stops, and only a gate inside the app keeps
        # that short: behind the edge's hold it is waited for as long as half the hold may last.
        edge = self._session.wired.fleet.app.promise is AppClass.G3
        answer_s = max(_HOLD_ANSWER_S, action.budget_s / 2) if edge else _HOLD_ANSWER_S

        def hold(site: str) -> GateFacts:
            return self._session.wired.hosts.hold(
                site,
                run=context.run,
                epoch=record.epoch,
                budget_s=action.budget_s,
                deadline_s=within(context, answer_s),
            )

        gates = at_once(action.sites, hold)
        plain = self._session.wired.fleet.app.promise is AppClass.G4  # has no gate to ask
        not_held = [name for name, gate in gates.items() if gate.state != "hold" and not plain]
        if not_held:
            raise Undone(f"the gates at {', '.join(not_held)} did not close", hint="failover status")
        self._session.idle_writers = frozenset(name for name, gate in gates.items() if gate.open_writes == 0)
        in_flight = sum(gate.in_flight for gate in gates.values())
        waiting = sum(gate.waiting for gate in gates.values())
        streams = sum(gate.streams for gate in gates.values())
        told = f", {streams} streams end with the move" if streams else ""
        return self._session.done(context, f"held, {waiting} waiting, {in_flight} in flight{told}")


class ReleaseGatesHandler:
    """Ends the run's hold wherever it still is."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: ReleaseGates, context: Context) -> Looked:
        """No gate is held for this run. A site that does not answer ends its hold by itself within its budget."""
        if context.performed:
            return Looked(see=See.DONE, detail="released")
        if self._session.untouched(context):
            return Looked(see=See.NOT_DONE, detail="not sent yet")
        states = at_once(action.sites, lambda site: _state(self._session, context, site))
        held = [name for name, state in states.items() if state.gate.hold_run == context.run]
        if held:
            return Looked(see=See.NOT_DONE, detail=f"held at {', '.join(held)}")
        return Looked(see=See.DONE, detail="released")

    def perform(self, action: ReleaseGates, context: Context) -> str:
        """Release at all sites at once; the answer of one does not wait for the other's silence."""
        failures: list[FailoverError] = []

        def release(site: str) -> bool:
            try:
                self._session.wired.hosts.release(site, run=context.run, deadline_s=within(context, CALL_S))
            except FailoverError as error:
                context.note(f"{site}: {error}; its agent releases by itself")
                failures.append(error)
                return False
            return True

        released = at_once(action.sites, release)
        if failures and not any(released.values()):
            raise failures[0]
        return "released at " + ", ".join(name for name, done in released.items() if done)


class AwaitDrainedHandler:
    """No open write transaction; what is left after the budget is ended and written into the journal."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: AwaitDrained, context: Context) -> Looked:
        """PostgreSQL says so (or has been stopped already by an earlier life of this run)."""
        done = self._session.observed(context)
        if done:
            return Looked(see=See.DONE, detail=done)
        if self._session.untouched(context):
            if action.site in self._session.idle_writers:
                return Looked(see=See.DONE, detail="no open write transaction once the gates were held")
            return Looked(see=See.NOT_DONE, detail="not asked yet")
        database = _state(self._session, context, action.site).database
        if database.state != "primary" or database.open_writes == 0:
            return Looked(see=See.DONE, detail=f"PostgreSQL is {database.state}, {database.open_writes} open writes")
        return Looked(see=See.NOT_DONE, detail=f"{database.open_writes} open write transactions")

    def perform(self, action: AwaitDrained, context: Context) -> str:
        """Wait within the budget, then end the leftovers."""
        hosts, clock = self._session.wired.hosts, context.clock
        until_s = clock.boottime() + action.budget_s
        while True:
            database = _state(self._session, context, action.site).database
            if database.open_writes == 0 or database.state != "primary":
                return self._session.done(context, "no open write transaction")
            if clock.boottime() >= until_s or context.halting():
                break
            clock.sleep(_POLL_S)
        ended = hosts.terminate_writers(action.site, run=context.run, deadline_s=within(context, CALL_S))
        for one in ended:
            context.note(f"ended at {action.site}: {one}")
        told = f": {', '.join(ended)}" if ended else ""
        return self._session.done(context, f"{len(ended)} leftover transactions ended{told}")


def _state(session: Session, context: Context, site: str) -> AgentState:
    return session.wired.hosts.state(site, deadline_s=within(context, CALL_S))
