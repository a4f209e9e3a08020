"""The planned move: when it is refused and why, and what its plan holds when it is not."""

from __future__ import annotations

import msgspec
import pytest

from failover.model.fleet import AppClass, Service
from failover.model.observation import AgentState, FleetSeen, GateFacts, ServiceFacts
from failover.model.plan import ClearMove, CommitMove, Plan, Refusal, ReleaseGates
from failover.model.record import Move
from failover.planner import failback, switchover
from failover.planner.switchover import SwitchoverAsk
from tests.fakes.hosts import ALPHA, BETA, agent, fleet, record, seen, with_database

FULL = [
    "checkpoint-alpha", "checkpoint-beta", "claim", "hold", "drain", "stop", "receive", "commit", "primary",
    "release", "protected", "dns-alpha", "dns-beta",
]  # fmt: skip


def plan_of(look: FleetSeen, to: str = "beta", run: str = "") -> Plan:
    found = switchover.plan(fleet(), look, SwitchoverAsk(to=to, run=run))
    assert isinstance(found, Plan), found
    return found


def codes(look: FleetSeen, to: str = "beta") -> set[str]:
    found = switchover.plan(fleet(), look, SwitchoverAsk(to=to))
    assert isinstance(found, Refusal), found
    assert all(finding.message and finding.hint for finding in found.findings)
    return {finding.code for finding in found.findings}


def changed(site: str, **more: object) -> AgentState:
    return msgspec.structs.replace(agent(site, record()), **more)


def test_the_whole_move() -> None:
    found = plan_of(seen())
    assert [step.id for step in found.steps] == FULL
    assert found.promise.endswith("0 errors")
    assert "epoch 5" in found.measured[0]


def test_an_app_without_a_gate_is_quiesced_before_the_claim_and_waited_for_after_the_release() -> None:
    declared = fleet()
    web = msgspec.structs.replace(declared.app.services[0], gate=False, start="when_primary")
    worker = Service(name="worker", command=("python",), start="when_primary", gate=False)
    app = msgspec.structs.replace(declared.app, promise=AppClass.G3, services=(web, worker))
    found = switchover.plan(msgspec.structs.replace(declared, app=app), seen(), SwitchoverAsk(to="beta"))
    assert isinstance(found, Plan), found
    ids = [step.id for step in found.steps]
    at = FULL.index("claim")
    assert ids[: at + 2] == [*FULL[:at], "quiesce", "claim"]
    assert ids[ids.index("release") + 1] == "serving"
    assert [step for step in ids if step not in ("quiesce", "serving")] == FULL
    steps = {step.id: step for step in found.steps}
    assert steps["quiesce"].undo == ReleaseGates(sites=("alpha", "beta"))
    assert "stop worker" in steps["quiesce"].command
    assert "set maxconn frontend inner 0" in steps["hold"].command
    assert "requests within the budget" in found.promise
    assert "counted" in found.promise


def test_only_the_commit_has_no_way_back_among_what_changes_something() -> None:
    steps = {step.id: step for step in plan_of(seen()).steps}
    assert isinstance(steps["claim"].undo, ClearMove)
    assert isinstance(steps["hold"].undo, ReleaseGates)
    assert isinstance(steps["stop"].undo, ClearMove)
    assert steps["commit"].undo is None
    assert steps["commit"].action == CommitMove(source=ALPHA, target=BETA)
    assert [step.id for step in steps.values() if step.commit] == ["commit"]


def test_to_the_primary_is_nothing_to_do() -> None:
    found = plan_of(seen(), to="alpha")
    assert found.empty
    assert "already" in found.summary


def test_the_rest_of_a_committed_move_of_this_run() -> None:
    after = record(primary=BETA, sync=(ALPHA,), epoch=5)
    look = seen(
        after,
        alpha=with_database("alpha", after, streaming=False),
        beta=with_database("beta", after, state="standby"),
    )
    assert [step.id for step in plan_of(look, run="r1").steps] == [
        "primary", "release", "protected", "dns-alpha", "dns-beta",
    ]  # fmt: skip


def test_a_claimed_move_of_this_run_goes_on_behind_the_claim() -> None:
    claimed = record(move=Move(run="r1", kind="switchover", source=ALPHA, target=BETA, budget_s=10))
    assert [step.id for step in plan_of(seen(claimed), run="r1").steps] == FULL[3:]


def test_measured_facts_are_no_part_of_the_digest() -> None:
    busy = with_database("alpha", record(), open_writes=17, position=1200)
    first, second = plan_of(seen()), plan_of(seen(alpha=busy))
    assert first.measured != second.measured
    assert first.digest == second.digest


def test_failback_is_a_switchover_to_the_preferred_site() -> None:
    away = record(primary=BETA, sync=(ALPHA,), epoch=5)
    found = failback.plan(fleet(), seen(away), failback.FailbackAsk())
    assert isinstance(found, Plan)
    assert (found.verb, found.summary) == ("failback", "move writes from beta to alpha")
    home = failback.plan(fleet(), seen(), failback.FailbackAsk())
    assert isinstance(home, Plan)
    assert home.empty


@pytest.mark.parametrize(
    ("code", "look"),
    [
        ("agent-unreachable", seen(beta=None)),
        ("agent-unreachable", seen(alpha=None)),
        ("not-in-sync", seen(record(sync=()))),
        ("another-copy", seen(beta=with_database("beta", record(), member="beta_0000000f"))),
        ("not-streaming", seen(beta=with_database("beta", record(), streaming=False))),
        ("not-streaming", seen(alpha=with_database("alpha", record(), replicas=()))),
        ("not-a-standby", seen(beta=with_database("beta", record(), state="starting"))),
        ("names-not-proven", seen(beta=with_database("beta", record(), names_proven=()))),
        ("names-not-proven", seen(beta=with_database("beta", record(), names_proven=None))),
        ("lag", seen(alpha=with_database("alpha", record(), position=10**8))),
        ("replay-lag", seen(beta=with_database("beta", record(), position=10**9, replayed=0))),
        ("primary-not-serving", seen(alpha=with_database("alpha", record(), state="stopped"))),
        ("service-missing", seen(beta=changed("beta", services=(ServiceFacts(name="edge", state="running"),)))),
        ("service-missing", seen(beta=changed("beta", services=()))),
        ("gate-unknown", seen(alpha=changed("alpha", gate=GateFacts(state="unknown")))),
        ("gate-held", seen(beta=changed("beta", gate=GateFacts(state="hold", hold_run="other")))),
        ("keeper-stale", seen(beta=changed("beta", record_s_ago=30.0))),
        ("keeper-stale", seen(alpha=changed("alpha", record_s_ago=None))),
        (
            "move-live",
            seen(record(move=Move(run="other", kind="switchover", source=ALPHA, target=BETA, budget_s=10))),
        ),
        ("not-born", seen(record(epoch=0))),
        ("record-unknown", FleetSeen(sites=seen().sites, record=None, record_error="no majority")),
        ("no-record", FleetSeen(sites=seen().sites, record=None)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refused(code: str, look: FleetSeen) -> None:
    assert code in codes(look)


def test_refused_for_a_site_that_cannot_be_primary() -> None:
    assert codes(seen(), to="gamma") == {"not-a-data-site"}
    assert codes(seen(), to="nowhere") == {"not-a-data-site"}
