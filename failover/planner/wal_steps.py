"""The step of a planned move that only a fleet with stores has: the WAL shipper hangs up first. Pure."""

from __future__ import annotations

from failover.model.fleet import Fleet
from failover.model.plan import RestShipper, Step
from failover.planner.byhand import NOTHING, ByHand
from failover.planner.shipping import ships
from failover.planner.wal import SLOT

REST_TIMEOUT_S = 5.0
"""Its agent ends one that does not rest within a second; this is for an agent that is late itself."""


def rest_shipper(fleet: Fleet, site: str, *, lane: str) -> tuple[Step, ...]:
    """Outside of the pause. The record's move is what makes it rest; here it is waited for."""
    if not ships(fleet):
        return ()
    hand = ByHand(fleet)
    return (
        Step(
            id="rest-shipper",
            title=f"The WAL shipper at {site} rests",
            action=RestShipper(site=site),
            why="a stop waits for whoever streams; what is not in two stores yet, the new primary's slot has",
            site=site,
            timeout_s=REST_TIMEOUT_S,
            # Whatever still streams is ended by the stop itself, before PostgreSQL is asked to.
            required=False,
            lane=lane,
            command=hand.stop_shipper(site),
            check=hand.psql(site, f"SELECT count(*) FROM pg_stat_replication WHERE application_name = '{SLOT}'"),
            back=NOTHING,
        ),
    )
