"""Deploy and destroy: what a lane holds, when a record may be created, and when the answer is no."""

from __future__ import annotations

import msgspec

from failover.model.observation import FleetSeen, ServiceFacts
from failover.model.plan import ApplyBucket, ApplyStack, AwaitPrimary, CreateRecord, EnsureBucket, Plan, Refusal
from failover.model.stores import StorePlace
from failover.planner import deploy, destroy
from failover.planner.deploy import DeployAsk
from failover.planner.destroy import DestroyAsk
from tests.fakes.hosts import ALPHA, BETA, agent, fleet, nothing_seen, record, seen, with_database, with_stores

SPECS = {name: f"digest-{name}" for name in ("alpha", "beta", "gamma")}
STACKS = ["stack-alpha", "stack-beta", "stack-gamma"]


def ask(**more: object) -> DeployAsk:
    return msgspec.structs.replace(DeployAsk(member=ALPHA, specs=SPECS), **more)


def plan_of(look: FleetSeen, **more: object) -> Plan:
    found = deploy.plan(fleet(), look, ask(**more))
    assert isinstance(found, Plan), found
    return found


def codes(look: FleetSeen, **more: object) -> set[str]:
    found = deploy.plan(fleet(), look, ask(**more))
    assert isinstance(found, Refusal)
    return {finding.code for finding in found.findings}


def ids(plan: Plan) -> list[str]:
    return [step.id for step in plan.steps]


def test_a_new_fleet_is_born() -> None:
    found = plan_of(nothing_seen())
    assert ids(found)[:9] == [f"{what}-{site}" for site in SPECS for what in ("stack", "enrol", "spec")]
    assert ids(found)[9:] == [
        "record", "primary", "migrate", "protected", "serving-alpha", "serving-beta", "dns-alpha", "dns-beta",
    ]  # fmt: skip
    birth = next(step for step in found.steps if step.id == "record")
    assert birth.action == CreateRecord(member=ALPHA)
    assert birth.after == ("spec-alpha", "spec-beta"), "every site that could hold data is asked first"


def test_nothing_but_stacks_is_sent_to_a_fleet_that_is_as_declared() -> None:
    assert [name for name in ids(plan_of(seen())) if name.startswith(("stack", "enrol", "spec", "record"))] == STACKS


def test_a_bucket_is_made_once_its_store_runs_and_nobody_waits_for_it() -> None:
    born = deploy.plan(with_stores(), nothing_seen(), ask())
    assert isinstance(born, Plan)
    buckets = {step.id: step for step in born.steps if isinstance(step.action, ApplyBucket)}
    assert {name: step.after for name, step in buckets.items()} == {
        "bucket-alpha": ("spec-alpha",),
        "bucket-beta": ("spec-beta",),
    }
    assert not [step for step in born.steps if set(step.after) & set(buckets)]
    without = plan_of(nothing_seen())
    assert [name for name in ids(born) if name not in buckets] == ids(without)


def test_a_providers_own_bucket_is_asked_for_by_a_deploy_of_everything_only() -> None:
    own = StorePlace(name="alpha", provider="east", kind="s3", endpoint="https://s3.east", bucket="cold")
    declared = msgspec.structs.replace(with_stores(), stores=(*with_stores().stores, own))
    found = deploy.plan(declared, nothing_seen(), ask())
    assert isinstance(found, Plan)
    (step,) = (step for step in found.steps if isinstance(step.action, EnsureBucket))
    assert (step.action.store, step.after, step.site) == ("alpha", (), "")
    assert len({one.id for one in found.steps}) == len(found.steps), "a store may be called as a site is"
    part = deploy.plan(declared, seen(), ask(sites=("alpha",)))
    assert isinstance(part, Plan)
    assert not [step for step in part.steps if isinstance(step.action, EnsureBucket)]


def test_a_site_whose_store_runs_has_one_run_of_its_stack() -> None:
    running = (ServiceFacts(name="store", state="running"),)
    look = seen(alpha=msgspec.structs.replace(agent("alpha", record()), services=running))
    found = deploy.plan(with_stores(), look, ask())
    assert isinstance(found, Plan)
    actions = {step.id: type(step.action) for step in found.steps if step.id.startswith(("stack", "bucket"))}
    assert actions == {
        "stack-alpha": ApplyBucket,
        "stack-beta": ApplyStack,
        "stack-gamma": ApplyStack,
        "bucket-beta": ApplyBucket,
    }


def test_a_store_without_a_key_is_refused_before_anything_is_made() -> None:
    found = deploy.plan(with_stores(), nothing_seen(), ask(keyless=("south",)))
    assert isinstance(found, Refusal)
    assert [(finding.code, "store_secret_key.south" in finding.hint) for finding in found.findings] == [
        ("store-key-missing", True)
    ]


def test_only_a_differing_spec_is_sent() -> None:
    found = plan_of(seen(), specs={**SPECS, "beta": "another"})
    assert [name for name in ids(found) if name.startswith("spec")] == ["spec-beta"]


def test_a_host_that_does_not_answer_is_enrolled_and_gets_its_spec() -> None:
    found = plan_of(seen(gamma=None))
    assert [name for name in ids(found) if name.endswith("gamma")] == ["stack-gamma", "enrol-gamma", "spec-gamma"]


def test_a_failing_site_stands_in_nobodys_way() -> None:
    steps = {step.id: step for step in plan_of(seen(gamma=None)).steps}
    assert steps["primary"].after == ("stack-alpha",)
    assert not any("gamma" in name for step in steps.values() if step.site != "gamma" for name in step.after)


def test_the_record_decides_whose_primary_is_awaited() -> None:
    away = record(primary=BETA, sync=(ALPHA,), epoch=5)
    primary = next(step for step in plan_of(seen(away)).steps if step.id == "primary")
    assert primary.site == "beta"
    assert isinstance(primary.action, AwaitPrimary) and primary.action.or_whoever


def test_data_without_a_record_is_refused() -> None:
    look = FleetSeen(sites=seen().sites, record=None, record_error="no majority")
    assert codes(look) == {"record-lost"}


def test_a_fleet_that_was_born_gets_its_hosts_back_and_nothing_else() -> None:
    found = plan_of(nothing_seen(), born_before=True)
    assert ids(found) == [f"{what}-{site}" for site in SPECS for what in ("stack", "enrol", "spec")]


def test_part_of_a_fleet_that_was_never_born_is_refused() -> None:
    assert codes(nothing_seen(), sites=("alpha",)) == {"not-born"}
    assert codes(seen(), sites=("nowhere",)) == {"unknown-site"}


def test_one_site_alone() -> None:
    found = plan_of(seen(), sites=("gamma",))
    assert [name for name in ids(found) if name.startswith("stack")] == ["stack-gamma"]


def test_the_digest_does_not_see_positions() -> None:
    busy = seen(alpha=with_database("alpha", record(), position=99999, open_writes=3))
    assert plan_of(seen()).digest == plan_of(busy).digest


def test_destroy_the_whole_fleet_names_what_goes() -> None:
    found = destroy.plan(fleet(), seen(), DestroyAsk())
    assert isinstance(found, Plan)
    assert ids(found) == ["destroy-alpha", "destroy-beta", "destroy-gamma"]
    assert len({step.lane for step in found.steps}) == 3
    assert any("journal" in hazard for hazard in found.hazards)


def test_destroy_refuses_the_primary_alone_and_the_majority() -> None:
    alone = destroy.plan(fleet(), seen(), DestroyAsk(sites=("alpha",)))
    assert isinstance(alone, Refusal)
    assert {finding.code for finding in alone.findings} == {"is-primary"}
    most = destroy.plan(fleet(), seen(), DestroyAsk(sites=("beta", "gamma")))
    assert isinstance(most, Refusal)
    assert {finding.code for finding in most.findings} == {"majority-lost"}


def test_destroy_of_a_standby_site() -> None:
    found = destroy.plan(fleet(), seen(beta=agent("beta", record())), DestroyAsk(sites=("beta",)))
    assert isinstance(found, Plan)
    assert ids(found) == ["destroy-beta"]
