"""The bucket of a site that runs a store: made by the site's stack, once the store is there to make it in. Pure.

Beside everything else: nobody waits for a bucket to be born, to move or to serve.
"""

from __future__ import annotations

from collections.abc import Sequence

from failover.model.fleet import Fleet, Site
from failover.model.observation import AgentState
from failover.model.plan import ApplyBucket, Step
from failover.planner.byhand import ByHand
from failover.planner.hostspec_store import NAME

STORE_TIMEOUT_S = 300.0


def runs_store(fleet: Fleet, state: AgentState) -> bool:
    """The site has a store, and it runs: one run of the stack does for all of it."""
    running = any(service.name == NAME and service.state == "running" for service in state.services)
    return running and fleet.store_at(state.site) is not None


def bucket_steps(fleet: Fleet, chosen: Sequence[Site], before: Sequence[Step]) -> list[Step]:
    """One per chosen site with a store whose stack does not run whole already, after that site's own steps."""
    hand, steps = ByHand(fleet), []
    for site in chosen:
        own = [step for step in before if step.lane == site.name]
        store = fleet.store_at(site.name)
        if store is None or not own or any(isinstance(step.action, ApplyBucket) for step in own):
            continue
        steps.append(
            Step(
                id=f"bucket-{site.name}",
                title=f"Make the bucket {store.bucket} in store {store.name}",
                action=ApplyBucket(site=site.name),
                why="the store runs at the site by now; a bucket of ours that is there is adopted",
                site=site.name,
                timeout_s=STORE_TIMEOUT_S,
                lane=f"bucket-{site.name}",
                after=(own[-1].id,),
                command=hand.pulumi(site.name, "up --refresh"),
                check=hand.pulumi(site.name, "preview --refresh --expect-no-changes"),
                back="# an empty bucket does no harm",
            )
        )
    return steps
