"""Handlers of hosts: stacks up and down, enrolment, specs, checkpoints, migrations.

What must never be here: PostgreSQL's life. A spec says what should run; the agent alone starts and stops it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeVar

from failover.engine.handler import Context, Looked, See
from failover.errors import OutcomeUnknown, ProviderRefuses, Refused, Unreachable
from failover.model.plan import ApplyStack, Checkpoint, DestroyStack, Enrol, Migrate, PutSpec
from failover.operations.session import CALL_S, Session, within
from failover.operations.stack_request import site_request
from failover.planner.hostspec import host_spec
from failover.ports.provisioner import SiteRequest

_T = TypeVar("_T")
_POLL_S = 0.1
_REFUSES_FOR_S = 8.0
"""Since its first no. An account that is suspended says no for days; a busy provider is asked twice or three times."""


class Stacks:
    """Calls of stacks, and since when each provider has refused: waiting for it until the step's time is over would
    keep whoever asked from the rest of the fleet for ten minutes."""

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def call(self, site: str, context: Context, perform: Callable[[], _T]) -> _T:
        """``perform``, until the provider has refused for too long: then ``ProviderRefuses``."""
        try:
            return perform()
        except OutcomeUnknown:
            raise
        except Unreachable as error:
            now_s = context.clock.boottime()
            if now_s - self._since.setdefault(context.step.id, now_s) < _REFUSES_FOR_S:
                raise
            raise ProviderRefuses(
                f"the provider of {site} does not let anything be changed there: {error.message}",
                where=site,
                hint=f"once it answers again: failover deploy {site}",
            ) from error

    def up(self, session: Session, request: SiteRequest, context: Context) -> str:
        """Refresh and up; what came of it."""
        provisioner, progress = session.wired.provisioner, session.progress
        result = self.call(
            request.site.name, context, lambda: provisioner.up(request, progress=progress, deadline_s=context.left_s)
        )
        return "unchanged" if result.changed == 0 else f"{result.changed} resources changed"


class ApplyStackHandler:
    """One site's stack. Whether anything changes only the engine can tell, so it always runs."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stacks = Stacks()

    def look(self, action: ApplyStack, context: Context) -> Looked:
        """Done once ``up`` came back, which looks at every resource itself."""
        return Looked(see=See.DONE if context.performed else See.NOT_DONE, detail="")

    def perform(self, action: ApplyStack, context: Context) -> str:
        """Refresh and up. The site's store may not run yet."""
        request = site_request(self._session.wired, action.site, before_store=True)
        return self._stacks.up(self._session, request, context)


class DestroyStackHandler:
    """One site's stack, away."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stacks = Stacks()

    def look(self, action: DestroyStack, context: Context) -> Looked:
        """Done once ``destroy`` came back; with nothing there it is silent."""
        return Looked(see=See.DONE if context.performed else See.NOT_DONE, detail="")

    def perform(self, action: DestroyStack, context: Context) -> str:
        """Destroy it."""
        request = site_request(self._session.wired, action.site)
        provisioner, progress = self._session.wired.provisioner, self._session.progress
        gone = self._stacks.call(
            action.site, context, lambda: provisioner.destroy(request, progress=progress, deadline_s=context.left_s)
        )
        return "nothing there" if gone == 0 else f"{gone} resources removed"


class EnrolHandler:
    """The host's own key is signed."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: Enrol, context: Context) -> Looked:
        """Mutual TLS works: the host holds a certificate of ours. A host that is starting is not enrolled yet."""
        if context.performed:
            return Looked(see=See.DONE, detail="enrolled")
        try:
            self._session.wired.hosts.state(action.site, deadline_s=within(context, CALL_S))
        except Unreachable:
            # Not enrolled and not up look the same from here; enrolling is silent where it was done before.
            return Looked(see=See.NOT_DONE, detail="no answer over mutual TLS yet")
        return Looked(see=See.DONE, detail="answers over mutual TLS")

    def perform(self, action: Enrol, context: Context) -> str:
        """Offer until the agent of a host that has just been made is there to take it."""
        wired, clock = self._session.wired, context.clock
        token = wired.secrets.bootstrap_tokens[action.site]
        while True:
            try:
                new = wired.hosts.enrol(action.site, token=token, deadline_s=within(context, 5.0))
            except Unreachable:
                if context.halting() or context.left_s < 2 * _POLL_S:
                    raise
                clock.sleep(_POLL_S)
            else:
                return "signed" if new else "held a certificate already"


class PutSpecHandler:
    """The site's spec, signed; its serial one above what the host has."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: PutSpec, context: Context) -> Looked:
        """The agent has stored this content."""
        state = self._session.wired.hosts.state(action.site, deadline_s=within(context, CALL_S))
        if state.spec_digest == action.digest:
            return Looked(see=See.DONE, detail=f"serial {state.spec_serial}")
        return Looked(see=See.NOT_DONE, detail=f"runs {state.spec_digest[:12] or 'no spec'}")

    def perform(self, action: PutSpec, context: Context) -> str:
        """Make it anew, and refuse to send anything else than what was approved."""
        wired = self._session.wired
        state = wired.hosts.state(action.site, deadline_s=within(context, CALL_S))
        serial = state.spec_serial + 1
        spec = host_spec(wired.fleet, wired.fleet.site(action.site), wired.secrets, serial=serial)
        if spec.digest() != action.digest:
            raise Refused("the fleet file changed since the plan was made", hint="failover deploy")
        wired.hosts.put_spec(action.site, spec, deadline_s=within(context, 10.0))
        return f"serial {serial}"


class CheckpointHandler:
    """A checkpoint before the pause."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: Checkpoint, context: Context) -> Looked:
        """Leaves nothing to look at."""
        return Looked(see=See.DONE if context.performed else See.NOT_DONE, detail="")

    def perform(self, action: Checkpoint, context: Context) -> str:
        """CHECKPOINT."""
        self._session.wired.hosts.checkpoint(action.site, deadline_s=context.left_s)
        return "written"


class MigrateHandler:
    """The app's migrations, repeatable by their own table."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: Migrate, context: Context) -> Looked:
        """Done once the app's own command came back well."""
        return Looked(see=See.DONE if context.performed else See.NOT_DONE, detail="")

    def perform(self, action: Migrate, context: Context) -> str:
        """Run them."""
        site = self._session.primary_site(action, context)
        said = self._session.wired.hosts.migrate(site, deadline_s=context.left_s)
        return said.strip().splitlines()[-1] if said.strip() else "nothing said"
