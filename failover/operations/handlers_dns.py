"""Handler of the app's names at one DNS provider: one provider per call, judged by what its own server answers."""

from __future__ import annotations

from typing import ClassVar

from failover.engine.handler import Context, Looked, See
from failover.model.plan import ApplyDns
from failover.operations.session import CALL_S, Session, within
from failover.planner.dns import addresses_of_names
from failover.ports.dns import NameSet


class ApplyDnsHandler:
    """The provider's saying yes is not enough: its authoritative server is asked directly."""

    repeatable: ClassVar[bool] = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def look(self, action: ApplyDns, context: Context) -> Looked:
        """What the server answers."""
        wanted = self._wanted(action)
        served = self._session.wired.dns.served(
            action.site, tuple(wanted.addresses), deadline_s=within(context, CALL_S)
        )
        for name, addresses in wanted.addresses.items():
            if set(served.get(name, ())) != set(addresses):
                return Looked(see=See.NOT_DONE, detail=f"{name} is {', '.join(served.get(name, ())) or 'not there'}")
        return Looked(see=See.DONE, detail=", ".join(action.addresses))

    def perform(self, action: ApplyDns, context: Context) -> str:
        """Change what differs."""
        changes = self._session.wired.dns.apply(
            action.site, self._wanted(action), deadline_s=within(context, context.left_s)
        )
        return f"{len(changes)} names changed"

    def _wanted(self, action: ApplyDns) -> NameSet:
        fleet = self._session.wired.fleet
        return NameSet(
            zone=fleet.dns.zone,
            ttl_s=fleet.dns.ttl_s,
            addresses=addresses_of_names(fleet, addresses=action.addresses, primary=action.primary),
        )
