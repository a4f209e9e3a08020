"""From a verb and what is asked to the plan. The one place that knows which planner serves which command."""

from __future__ import annotations

import hashlib

from failover.engine.lease import FLEET
from failover.model.journal import RunView
from failover.model.observation import FleetSeen
from failover.model.plan import Plan, Refusal
from failover.model.units import MemberId, member_id
from failover.operations.inspect import wanted_specs
from failover.operations.snapshot_wishes import CreateWish, PruneWish, decide_snapshot
from failover.operations.wired import Wired
from failover.planner import deploy, destroy, failback, names, promote, rejoin, switchover

SNAPSHOTS = "snapshots"


class DeployWish:
    """Deploy these sites (none named: all)."""

    verb = "deploy"

    def __init__(self, sites: tuple[str, ...] = ()) -> None:
        self.sites = sites


class DestroyWish:
    """Destroy these sites (none named: all)."""

    verb = "destroy"

    def __init__(self, sites: tuple[str, ...] = ()) -> None:
        self.sites = sites


class SwitchoverWish:
    """Move writes to ``to``."""

    verb = "switchover"

    def __init__(self, to: str) -> None:
        self.to = to


class FailbackWish:
    """Move writes back to the preferred site."""

    verb = "failback"


class PromoteWish:
    """Ask ``site``'s keeper to take over."""

    verb = "promote"

    def __init__(self, site: str, accept_loss_s: float = 0.0) -> None:
        self.site = site
        self.accept_loss_s = accept_loss_s


class RejoinWish:
    """Release ``site``'s quarantined copy."""

    verb = "rejoin"

    def __init__(self, site: str) -> None:
        self.site = site


class NamesWish:
    """Bring the app's names after the record."""

    verb = "names"


Wish = (
    DeployWish
    | DestroyWish
    | SwitchoverWish
    | FailbackWish
    | PromoteWish
    | RejoinWish
    | NamesWish
    | CreateWish
    | PruneWish
)


def decide(wired: Wired, wish: Wish, seen: FleetSeen) -> Plan | Refusal:
    """The plan for ``wish`` from what was seen."""
    fleet = wired.fleet
    match wish:
        case DeployWish():
            ask = deploy.DeployAsk(
                sites=wish.sites,
                member=first_member(wired),
                specs=wanted_specs(wired),
                born_before=wired.born_marker.exists(),
                keyless=tuple(store.name for store in fleet.stores if store.name not in wired.secrets.store_keys),
            )
            return deploy.plan(fleet, seen, ask)
        case DestroyWish():
            return destroy.plan(fleet, seen, destroy.DestroyAsk(sites=wish.sites))
        case SwitchoverWish():
            return switchover.plan(fleet, seen, switchover.SwitchoverAsk(to=wish.to))
        case FailbackWish():
            return failback.plan(fleet, seen, failback.FailbackAsk())
        case PromoteWish():
            ask_promote = promote.PromoteAsk(site=wish.site, accept_loss_s=wish.accept_loss_s)
            return promote.plan(fleet, seen, ask_promote)
        case RejoinWish():
            return rejoin.plan(fleet, seen, rejoin.RejoinAsk(site=wish.site))
        case NamesWish():
            return names.plan(fleet, seen, names.NamesAsk())
        case CreateWish() | PruneWish():
            return decide_snapshot(wired, wish, seen)


def needs_record(wish: Wish) -> bool:
    """Whether the record's lease must be had: only a fleet that is made or removed can be without it, and a snapshot
    may be taken where nothing can move any more."""
    return not isinstance(wish, DeployWish | DestroyWish | CreateWish)


def lease_name(verb: str) -> str:
    """Under which name the lease is held: a snapshot takes hours and must never keep a move waiting."""
    return SNAPSHOTS if verb.startswith("snapshot") else FLEET


def first_member(wired: Wired) -> MemberId:
    """The id of a fleet's very first copy: the same in ``--dry-run`` and in the run it approves, new after a destroy.

    Made from the preferred site's bootstrap token and the number of destroys; it tells nothing about the token.
    """
    site = wired.fleet.preferred
    destroyed = sum(1 for run in _runs(wired) if run.verb == "destroy")
    token = wired.secrets.bootstrap_tokens[site].reveal()
    suffix = hashlib.sha256(f"{wired.fleet.name}\0{site}\0{destroyed}\0{token}".encode()).hexdigest()[:8]
    return member_id(site, suffix)


def _runs(wired: Wired) -> tuple[RunView, ...]:
    return wired.journal.runs() if (wired.state_dir / "journal.db").exists() else ()
