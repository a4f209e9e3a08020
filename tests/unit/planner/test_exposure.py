"""What a promotion would lose: stated before, accepted or refused, told after; and the way back of who was left."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as some

from failover.model.observation import AgentState, FleetSeen, Kept
from failover.model.plan import AwaitRejoined, ClaimMove, Plan, Refusal, ReleaseQuarantine
from failover.model.record import AcceptedLoss, Alone, Record, Timeline
from failover.planner import promote, rejoin
from failover.planner.check import judge
from failover.planner.exposure import exposure, told_after
from failover.planner.promote import PromoteAsk
from failover.planner.rejoin import RejoinAsk
from tests.fakes.hosts import ALPHA, BETA, agent, fleet, probe, record, seen, suspects, with_database

NOW = 10_000.0
STRETCH = Alone(from_lsn=1000, held_by=(BETA,), written_lsn=50_000, seconds_s=30.0, at_unix_s=NOW - 5.0)
LOSS = AcceptedLoss(epoch=6, run="p", source=ALPHA, target=BETA, fork_lsn=1000, accepted_s=60.0)


def alone(**more: Any) -> Record:
    return record(**{"sync": (), "alone": STRETCH, **more})


def lost(of: Record, *, at: float = NOW, beta: AgentState | None = None, known_s: float = 0.0) -> FleetSeen:
    """alpha is gone, two observers say so; alpha was seen at position 60,000."""
    down = suspects("beta", of, "alpha", "down").probes
    site = msgspec.structs.replace(beta or agent("beta", of), probes=down, record_known_s=known_s)
    witness = agent("gamma", of)
    last = msgspec.structs.replace(probe("alpha", "down"), position=60_000)
    witness = msgspec.structs.replace(witness, probes=(last, probe("beta")))
    return msgspec.structs.replace(seen(of, alpha=None, beta=site, gamma=witness), at_unix_s=at)


def asked(look: FleetSeen, accept_s: float = 0.0) -> Plan | Refusal:
    return promote.plan(fleet(), look, PromoteAsk(site="beta", run="r", accept_loss_s=accept_s))


def codes(look: FleetSeen, accept_s: float = 0.0) -> set[str]:
    found = asked(look, accept_s)
    assert isinstance(found, Refusal), found
    assert all(finding.hint for finding in found.findings)
    return {finding.code for finding in found.findings}


def test_a_protected_fleet_risks_nothing() -> None:
    risk = exposure(record(), seen(), "beta")
    assert (risk.protected, risk.seconds_s, risk.size_bytes, risk.text) == (True, 0.0, 0, "nothing: protected")


def test_the_stretch_alone_counts_until_now_by_whichever_clock_says_more() -> None:
    assert exposure(alone(), lost(alone()), "beta").seconds_s == 35.0
    assert exposure(alone(), lost(alone(), known_s=90.0), "beta").seconds_s == 120.0
    # A clock here that is behind the primary's takes nothing away.
    assert exposure(alone(), lost(alone(), at=NOW - 500.0), "beta").seconds_s == 30.0


def test_bytes_are_what_any_observer_saw_and_what_may_have_come_after() -> None:
    risk = exposure(alone(), lost(alone()), "beta")
    assert risk.size_bytes == 60_000 - 1000 + 1024**2
    fast = alone(alone=msgspec.structs.replace(STRETCH, written_lsn=300_000_000))
    busy = exposure(fast, lost(fast), "beta").size_bytes
    assert busy is not None and busy > 300_000_000 + 2 * (300_000_000 / 30.0)
    unseen = msgspec.structs.replace(lost(alone()), sites=seen(alone(), alpha=None, beta=None).sites)
    assert exposure(alone(), unseen, "beta").size_bytes is None


@given(
    wrote=some.integers(0, 10**9), has=some.integers(0, 10**9), late=some.floats(0, 1e6), real=some.floats(0, 2.0)
)  # fmt: skip
def test_what_is_stated_is_never_less_than_what_was_published(wrote: int, has: int, late: float, real: float) -> None:
    of = alone(alone=msgspec.structs.replace(STRETCH, written_lsn=wrote), flushed_lsn=0)
    copy = with_database("beta", of, position=has)
    risk = exposure(of, lost(of, at=STRETCH.at_unix_s + late, beta=copy), "beta")
    assert risk.seconds_s is not None and risk.seconds_s >= STRETCH.seconds_s + late - 0.001
    pace = max(0, wrote - STRETCH.from_lsn) / STRETCH.seconds_s
    assert risk.size_bytes is not None and risk.size_bytes >= wrote + pace * min(real, late) - has


def test_an_unprotected_promotion_is_refused_with_the_figure_and_the_next_command() -> None:
    found = asked(lost(alone()))
    assert isinstance(found, Refusal)
    (finding,) = found.findings
    assert finding.code == "loss-not-accepted" and "35.0 s" in finding.message and "1.1 MB" in finding.message
    assert finding.hint.endswith("failover promote beta --accept-loss 2m")
    assert "more than the accepted 20.0 s" in asked(lost(alone()), 20.0).findings[0].message  # type: ignore[union-attr]


def test_an_accepted_loss_names_its_hazard_and_asks_through_the_record() -> None:
    found = asked(lost(alone()), 120.0)
    assert isinstance(found, Plan), found
    action = found.steps[0].action
    assert isinstance(action, ClaimMove) and (action.target, action.accept_loss_s) == (BETA, 120.0)
    (hazard,) = [one for one in found.hazards if "lost" in one]
    assert "2 min 0 s" in hazard and "failover rejoin alpha" in hazard
    assert found.promise.startswith("acknowledged writes of at most 2 min 0 s lost")
    other = asked(lost(alone()), 180.0)
    assert isinstance(other, Plan) and other.digest != found.digest, "another amount needs another approval"
    later = asked(lost(alone(), at=NOW + 20.0), 120.0)
    assert isinstance(later, Plan) and later.digest == found.digest, "what is measured is not approved (F4)"


def test_what_no_duration_covers() -> None:
    assert codes(lost(record(sync=())), 1e9) == {"exposure-unknown"}
    behind = with_database("beta", alone(), position=100)
    assert codes(lost(alone(), beta=behind), 1e9) == {"disk-rolled-back"}
    stranger = alone(alone=msgspec.structs.replace(STRETCH, held_by=(), from_lsn=2000))
    assert codes(lost(stranger), 1e9) == {"copy-too-old"}
    elsewhere = record(sync=("delta_00000009",), alone=STRETCH)  # type: ignore[arg-type]
    assert codes(lost(elsewhere), 1e9) == {"another-in-sync"}
    alive = msgspec.structs.replace(lost(alone()), sites=seen(alone()).sites)
    assert codes(alive, 1e9) == {"primary-alive"}


def promoted(**more: Any) -> Record:
    lines = (Timeline(tli=1, fork_lsn=0), Timeline(tli=2, fork_lsn=1000))
    return record(**{"primary": BETA, "sync": (), "epoch": 6, "accepted": (LOSS,), "timelines": lines, **more})


def former(of: Record, kept: Kept | None = None) -> AgentState:
    state = with_database("alpha", of, state="stopped", member=ALPHA, streaming=False)
    return msgspec.structs.replace(state, kept=kept)


KEPT = Kept(id="alpha_00000001-0_3E8", commits=1700, wal_bytes=99_000)


def test_after_it_what_is_known_of_the_loss_is_told() -> None:
    protected = record(primary=BETA, sync=(), epoch=6)
    assert told_after(ALPHA, BETA, seen(protected)) == (f"nothing: {BETA} had every write that {ALPHA} acknowledged",)
    gone = told_after(ALPHA, BETA, seen(promoted(), alpha=None))
    assert "counted when it is back" in gone[0]
    back = told_after(ALPHA, BETA, seen(promoted(), alpha=former(promoted(), KEPT)))
    assert back == (f"1700 commits of {ALPHA}: failover certificate show {KEPT.id}",)
    assert told_after(ALPHA, BETA, seen()) == (), "it did not happen"


def test_check_and_status_say_quarantined_with_the_next_command() -> None:
    for kept, words in ((KEPT, "1700 commits"), (None, "saving")):
        verdict = judge(fleet(), seen(promoted(), alpha=former(promoted(), kept)))
        (finding,) = [one for one in verdict.findings if one.code == "quarantined"]
        assert words in finding.message and finding.hint == "failover rejoin alpha"
        assert verdict.view.sites[0].state == "quarantined"
    released = promoted().release(ALPHA, "r")
    assert "quarantined" not in {one.code for one in judge(fleet(), seen(released, alpha=former(released))).findings}


def test_rejoin_releases_then_waits_for_another_copy() -> None:
    found = rejoin.plan(fleet(), seen(promoted(), alpha=former(promoted(), KEPT)), RejoinAsk(site="alpha"))
    assert isinstance(found, Plan)
    assert [type(step.action) for step in found.steps[:2]] == [ReleaseQuarantine, AwaitRejoined]
    assert found.steps[0].commit and "1700 commits" in found.hazards[0]


def test_rejoin_is_refused_without_evidence_and_is_nothing_without_quarantine() -> None:
    def refused(look: FleetSeen, site: str = "alpha") -> set[str]:
        found = rejoin.plan(fleet(), look, RejoinAsk(site=site))
        assert isinstance(found, Refusal), found
        assert all(one.hint for one in found.findings)
        return {one.code for one in found.findings}

    assert refused(seen(promoted(), alpha=former(promoted()))) == {"evidence-missing"}
    assert refused(seen(promoted(), alpha=None)) == {"agent-unreachable"}
    assert refused(seen(), "gamma") == {"not-a-data-site"}
    down = seen(promoted(), alpha=former(promoted(), KEPT), beta=None)
    assert refused(down) == {"agent-unreachable"}, "there is nobody to follow"
    nothing = rejoin.plan(fleet(), seen(), RejoinAsk(site="beta"))
    assert isinstance(nothing, Plan) and nothing.empty
