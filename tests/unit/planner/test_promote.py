"""The primary is lost: who must agree, what is stated before, and what no option can override."""

from __future__ import annotations

import msgspec

from failover.model.observation import FleetSeen
from failover.model.plan import ClaimMove, Plan, Refusal
from failover.model.record import Move, Record
from failover.planner import names, promote
from failover.planner.promote import PromoteAsk
from tests.fakes.hosts import ALPHA, BETA, agent, fleet, record, seen, suspects, with_database


def lost(of: Record | None = None, **more: str) -> FleetSeen:
    """alpha does not answer; beta and gamma say ``down`` unless told otherwise."""
    value = of if of is not None else record()
    return seen(
        value,
        alpha=None,
        beta=suspects("beta", value, "alpha", more.get("beta", "down")),
        gamma=suspects("gamma", value, "alpha", more.get("gamma", "down")),
    )


def plan_of(look: FleetSeen, **more: object) -> Plan:
    found = promote.plan(fleet(), look, msgspec.structs.replace(PromoteAsk(site="beta"), **more))
    assert isinstance(found, Plan), found
    return found


def codes(look: FleetSeen, **more: object) -> set[str]:
    found = promote.plan(fleet(), look, msgspec.structs.replace(PromoteAsk(site="beta"), **more))
    assert isinstance(found, Refusal), found
    assert all(finding.hint for finding in found.findings)
    return {finding.code for finding in found.findings}


def test_a_request_to_the_keeper_then_names_at_live_providers_only() -> None:
    found = plan_of(lost())
    assert [step.id for step in found.steps] == ["request", "primary", "dns-beta"]
    action = found.steps[0].action
    assert isinstance(action, ClaimMove)
    assert (action.kind, action.source, action.target) == ("promote", ALPHA, BETA)
    assert found.steps[0].commit
    assert any("remove its NS" in hazard and "alpha" in hazard for hazard in found.hazards)
    assert found.at_risk == "nothing: protected" and f"at risk: {found.at_risk}" in found.measured
    assert action.accept_loss_s == 0.0


def test_the_dead_edge_leaves_the_names() -> None:
    step = plan_of(lost()).steps[-1]
    assert step.site == "beta"
    assert getattr(step.action, "addresses", ()) == ("127.220.0.1",)


def test_a_primary_that_answers_is_switched_over_instead() -> None:
    assert codes(seen()) == {"primary-alive"}


def test_two_observers_at_two_providers_must_agree() -> None:
    assert codes(lost(beta="unknown")) == {"not-agreed-down"}
    assert codes(lost(gamma="up")) == {"not-agreed-down"}
    assert codes(seen(alpha=None, beta=suspects("beta", record(), "alpha", "down"), gamma=None)) == {"not-agreed-down"}


def test_a_disk_that_went_back_in_time_is_refused() -> None:
    behind = with_database("beta", record(), position=100)
    behind = msgspec.structs.replace(behind, probes=suspects("beta", record(), "alpha", "down").probes)
    look = msgspec.structs.replace(lost(), sites=(lost().sites[0], seen(beta=behind).sites[1], lost().sites[2]))
    assert codes(look) == {"disk-rolled-back"}


def test_the_live_move_of_another_run_is_refused() -> None:
    moving = record(move=Move(run="other", kind="switchover", source=ALPHA, target=BETA, budget_s=10))
    assert "move-live" in codes(lost(moving))


def test_already_primary_is_nothing_to_do() -> None:
    assert plan_of(seen(record(primary=BETA, sync=(ALPHA,)))).empty


def test_names_follow_without_calling_the_provider_that_is_gone() -> None:
    after = record(primary=BETA, sync=(), epoch=5)
    found = names.plan(fleet(), lost(after), names.NamesAsk())
    assert isinstance(found, Plan)
    assert [step.id for step in found.steps] == ["dns-beta"]
    assert any("alpha" in hazard for hazard in found.hazards)


def test_a_silent_provider_that_nobody_finds_gone_keeps_its_names() -> None:
    after = record(primary=BETA, sync=(ALPHA,), epoch=5)
    look = seen(after, alpha=None, beta=agent("beta", after), gamma=suspects("gamma", after, "alpha", "unknown"))
    found = names.plan(fleet(), look, names.NamesAsk())
    assert isinstance(found, Plan)
    assert [step.id for step in found.steps] == ["dns-alpha", "dns-beta"]
