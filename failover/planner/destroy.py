"""Everything a site's stack made goes away. One lane per site. Pure.

What must never be here: a way past the primary. Removing the site that serves, and only that one, is refused.
"""

from __future__ import annotations

import msgspec

from failover.model.fleet import Fleet
from failover.model.observation import FleetSeen
from failover.model.plan import DestroyStack, Plan, Refusal, Step
from failover.planner import preflight
from failover.planner.byhand import ByHand

DESTROY_TIMEOUT_S = 600.0


class DestroyAsk(msgspec.Struct, frozen=True, kw_only=True):
    """``sites``: only these (empty: all of them, and then the state folder)."""

    sites: tuple[str, ...] = ()


def plan(fleet: Fleet, seen: FleetSeen, ask: DestroyAsk) -> Plan | Refusal:
    """One step per site. All data is gone afterwards, and the hazard says so."""
    names = tuple(site.name for site in fleet.sites)
    chosen = ask.sites or names
    whole = set(chosen) == set(names)
    found = [
        preflight.error("unknown-site", f"there is no site {name}", f"sites: {', '.join(names)}", site=name)
        for name in chosen
        if name not in names
    ]
    if not whole and seen.record is not None and seen.record.primary_site in chosen:
        what = f"{seen.record.primary_site} is the primary: its removal would be an outage"
        hint = "failover switchover --to another site first, or destroy the whole fleet"
        found.append(preflight.error("is-primary", what, hint, site=seen.record.primary_site))
    if not whole and seen.record is None and seen.record_error:
        what = f"the record cannot be read ({seen.record_error}): {', '.join(chosen)} may hold the primary"
        found.append(preflight.error("record-unknown", what, "failover status"))
    if not whole:
        left = [site for site in fleet.voters if site.name not in chosen]
        if len(left) * 2 <= len(fleet.voters):
            what = f"{len(left)} of {len(fleet.voters)} voters would be left: no majority, nothing could move again"
            found.append(preflight.error("majority-lost", what, "destroy fewer sites, or the whole fleet"))
    if found:
        return Refusal(verb="destroy", summary="destroy is refused; nothing was changed", findings=tuple(found))
    hand = ByHand(fleet)
    hazards = [f"all data at {name} is deleted" for name in chosen]
    if whole:
        hazards.append("the state folder goes too: trust, journal, reports")
    return Plan(
        verb="destroy",
        summary="remove " + ("the whole fleet" if whole else ", ".join(chosen)),
        steps=tuple(
            Step(
                id=f"destroy-{name}",
                title=f"Destroy the stack of {name}",
                action=DestroyStack(site=name),
                why="asked for",
                site=name,
                timeout_s=DESTROY_TIMEOUT_S,
                required=False,
                lane=name,
                command=hand.pulumi(name, "destroy"),
                check=hand.pulumi(name, "stack"),
                back="# none: the data is gone; failover deploy makes an empty site",
            )
            for name in chosen
        ),
        hazards=tuple(hazards),
        measured=() if seen.record is None else (f"primary {seen.record.primary}, epoch {seen.record.epoch}",),
    )
