"""The steps that make the app's name right at each DNS provider. One step and one lane per provider: a dead provider
must not keep the others from changing (facts: traffic 1.1), so none of them is required. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from failover.model.fleet import Fleet
from failover.model.plan import ApplyDns, Step
from failover.planner.byhand import ByHand
from failover.planner.dns import public_name, wanted_names

DNS_TIMEOUT_S = 25.0


def dns_steps(
    fleet: Fleet, primary: str, *, after: tuple[str, ...], without: Iterable[str] = ()
) -> tuple[Step, ...]:
    """One step per DNS provider that is not in ``without``; each in a lane of its own."""
    dead = frozenset(without)
    live = frozenset(site.name for site in fleet.sites if site.name not in dead)
    wanted = wanted_names(fleet, primary, live)
    addresses = wanted[public_name(fleet)]
    hand = ByHand(fleet)
    name = fleet.dns.name
    steps: list[Step] = []
    for site in fleet.dns_sites:
        if site.name in dead:
            continue
        steps.append(
            Step(
                id=f"dns-{site.name}",
                title=f"Make {name} right at {site.name}'s DNS",
                action=ApplyDns(site=site.name, addresses=addresses, primary=fleet.site(primary).address),
                why="names move only after the database has moved, at every provider on its own",
                site=site.name,
                timeout_s=DNS_TIMEOUT_S,
                required=False,
                lane=f"dns-{site.name}",
                after=after,
                command=hand.dns(site.name, wanted),
                check=hand.dig(site.name),
                back="# the same with the addresses that the check showed before",
            )
        )
    return tuple(steps)
