"""The bucket of a site that runs a store: made by the site's stack, once the store is there to make it in. Pure.

Beside everything else: nobody waits for a bucket to be born, to move or to serve.
"""

from __future__ import annotations

from collections.abc import Sequence

from failover.model.fleet import Fleet, Site
from failover.model.observation import AgentState
from failover.model.plan import ApplyBucket, EnsureBucket, Step
from failover.model.stores import STORE_SERVICE, StorePlace
from failover.planner.byhand import ByHand

STORE_TIMEOUT_S = 300.0


def runs_store(fleet: Fleet, state: AgentState) -> bool:
    """The site has a store, and it runs: one run of the stack does for all of it."""
    running = any(service.name == STORE_SERVICE and service.state == "running" for service in state.services)
    return running and fleet.store_at(state.site) is not None


def bucket_steps(fleet: Fleet, chosen: Sequence[Site], before: Sequence[Step]) -> list[Step]:
    """One per chosen site with a store whose stack does not run whole already, after that site's own steps; and with
    all sites chosen, one per store that is its provider's own."""
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
    if len(chosen) == len(fleet.sites):
        steps.extend(_provider_bucket(store) for store in fleet.stores if not store.site)
    return steps


def _provider_bucket(store: StorePlace) -> Step:
    asked = f"aws s3api --endpoint-url {store.endpoint} --region {store.region}"
    return Step(
        id=f"bucket-of-{store.name}",
        title=f"Make the bucket {store.bucket} at {store.provider}",
        action=EnsureBucket(store=store.name),
        why="the store is the provider's own; a bucket of ours that is there stays as it is",
        timeout_s=STORE_TIMEOUT_S,
        lane=f"bucket-of-{store.name}",
        command=f"{asked} create-bucket --bucket {store.bucket}",
        check=f"{asked} list-buckets",
        back="# an empty bucket does no harm",
    )
