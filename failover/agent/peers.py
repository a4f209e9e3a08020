"""What this host's peers said of themselves and of each other, as far as it is fresh enough to be decided on."""

from __future__ import annotations

from failover.agent.view import HostView, boot_s
from failover.model.record import Record
from failover.planner.verdict import Opinion

_OPINION_S = 2.0


class Peers:
    """Reads the view; asks nobody."""

    def __init__(self, view: HostView) -> None:
        self._view = view

    def copies(self) -> dict[str, str]:
        """Member id by site, as each peer's agent told it last, however long ago."""
        copies = {}
        for site, peer in self._view.peers.items():
            if peer.state is not None and peer.state.database.member:
                copies[site] = peer.state.database.member
        return copies

    def upstream_ready(self, record: Record | None) -> bool:
        """The primary that ``record`` names said a moment ago that it runs as primary."""
        peer = self._view.peers.get(record.primary_site) if record is not None else None
        if record is None or peer is None or peer.state is None or boot_s() - peer.state_at_s > _OPINION_S:
            return False
        return peer.state.database.state == "primary" and peer.state.database.member == record.primary

    def opinions(self, site: str) -> tuple[Opinion, ...]:
        """This host's verdict on ``site`` and every other peer's that is fresh enough to count."""
        view = self._view
        opinions = [Opinion(observer=view.site, provider=view.provider, verdict=view.verdict_on(site))]
        for name, peer in view.peers.items():
            if name == site or peer.state is None or boot_s() - peer.state_at_s > _OPINION_S:
                continue
            for probe in peer.state.probes:
                if probe.site == site:
                    opinions.append(Opinion(observer=name, provider=peer.peer.provider, verdict=probe.verdict))
        return tuple(opinions)
