"""What ``check`` concludes: never green without knowing, critical outranks unknown, one silent look proves nothing."""

from __future__ import annotations

import msgspec
import pytest

from failover.model.observation import FleetSeen, GateFacts, ServiceFacts
from failover.model.record import Move
from failover.model.status import Level, NamesSeen, StoreSeen
from failover.planner.check import judge
from tests.fakes.hosts import (
    ALPHA,
    BETA,
    agent,
    fleet,
    nothing_seen,
    record,
    seen,
    suspects,
    with_database,
    with_stores,
)

WRONG_NAMES = NamesSeen(site="beta", answers={"www.social.test": ("127.9.9.9",)})
RIGHT_NAMES = NamesSeen(
    site="beta",
    answers={"www.social.test": ("127.210.0.1", "127.220.0.1"), "primary.www.social.test": ("127.210.0.1",)},
)


def changed(site: str, **more: object) -> object:
    return msgspec.structs.replace(agent(site, record()), **more)


def old(look: FleetSeen, site: str, age_s: float) -> FleetSeen:
    sites = tuple(msgspec.structs.replace(one, seen_s_ago=age_s) if one.site == site else one for one in look.sites)
    return msgspec.structs.replace(look, sites=sites)


MOVING = record(move=Move(run="r", kind="switchover", source=ALPHA, target=BETA, budget_s=10))
UNREADABLE = FleetSeen(sites=seen().sites, record=None, record_error="no majority")
LOST = seen(
    alpha=None,
    beta=suspects("beta", record(), "alpha", "down"),
    gamma=suspects("gamma", record(), "alpha", "down"),
)
FAILED = (ServiceFacts(name="web", state="failed"),)


@pytest.mark.parametrize(
    ("level", "code", "look"),
    [
        (Level.WARNING, "unprotected", seen(record(sync=()))),
        (Level.WARNING, "not-streaming", seen(alpha=with_database("alpha", record(), replicas=()))),
        (Level.WARNING, "agent-unreachable", seen(gamma=None)),
        (Level.WARNING, "service-failed", seen(beta=changed("beta", services=FAILED))),
        (Level.WARNING, "keeper-stale", seen(beta=changed("beta", record_s_ago=60.0))),
        (Level.WARNING, "keeper-blind", seen(beta=changed("beta", record_s_ago=None))),
        (Level.WARNING, "keeper-trouble", seen(gamma=changed("gamma", trouble=("disk full",)))),
        (Level.WARNING, "record-unknown", UNREADABLE),
        (Level.WARNING, "primary-unreachable", seen(alpha=None)),
        (Level.WARNING, "no-primary", seen(MOVING, alpha=with_database("alpha", MOVING, state="stopped"))),
        (Level.WARNING, "gate-closed", seen(alpha=changed("alpha", gate=GateFacts(state="hold", hold_run="r")))),
        (Level.CRITICAL, "gate-closed", seen(alpha=changed("alpha", gate=GateFacts(state="hold")))),
        (Level.CRITICAL, "gate-closed", seen(alpha=changed("alpha", serving=False))),
        (Level.CRITICAL, "no-primary", seen(alpha=with_database("alpha", record(), state="stopped"))),
        (Level.CRITICAL, "primary-gone", LOST),
        (
            Level.CRITICAL,
            "split",
            seen(beta=msgspec.structs.replace(with_database("beta", record(), state="primary"), serving=True)),
        ),
        (Level.CRITICAL, "no-primary", FleetSeen(sites=seen(alpha=None).sites, record=None)),
        (
            Level.UNKNOWN,
            "primary-unknown",
            seen(
                alpha=None,
                beta=suspects("beta", record(), "alpha", "unknown"),
                gamma=suspects("gamma", record(), "alpha", "unknown"),
            ),
        ),
        (Level.UNKNOWN, "gate-unknown", seen(alpha=changed("alpha", gate=GateFacts(state="unknown")))),
        (Level.UNKNOWN, "nothing-answers", nothing_seen()),
        (Level.UNKNOWN, "seen-long-ago", old(seen(), "beta", 60.0)),
    ],
    ids=lambda value: str(value) if isinstance(value, str | Level) else "",
)
def test_levels(level: Level, code: str, look: FleetSeen) -> None:
    verdict = judge(fleet(), look)
    assert code in {finding.code for finding in verdict.findings}
    assert verdict.level is level
    assert verdict.view.status == level.name


def test_all_is_well_only_when_all_was_seen() -> None:
    verdict = judge(fleet(), seen(), specs={name: f"digest-{name}" for name in ("alpha", "beta", "gamma")})
    assert verdict.level is Level.OK
    assert verdict.findings == ()
    assert verdict.summary == "primary alpha, sync beta_00000002, epoch 5"


def test_spec_drift_is_seen_when_the_wanted_spec_is_known() -> None:
    verdict = judge(fleet(), seen(), specs={"beta": "another"})
    assert [finding.code for finding in verdict.findings] == ["spec-drift"]


def test_names() -> None:
    assert judge(fleet(), seen(), names=(RIGHT_NAMES,)).level is Level.OK
    wrong = judge(fleet(), seen(), names=(WRONG_NAMES,))
    assert (wrong.level, wrong.findings[0].code) == (Level.CRITICAL, "dns-stale")
    silent = judge(fleet(), seen(), names=(NamesSeen(site="beta", answers=None, error="no answer"),))
    assert (silent.level, silent.findings[0].code) == (Level.WARNING, "dns-silent")


def test_a_silent_store_is_told_with_its_provider_and_what_is_left() -> None:
    declared = with_stores()
    assert judge(declared, seen(), stores=(StoreSeen(store="north"), StoreSeen(store="south"))).level is Level.OK
    refused = StoreSeen(store="south", error="connection refused")
    one = judge(declared, seen(), stores=(StoreSeen(store="north"), refused))
    assert (one.level, [finding.code for finding in one.findings]) == (Level.WARNING, ["store-silent"])
    assert "store south at provider south" in one.summary and "1 of 2 providers" in one.summary
    assert one.findings[0].hint == "failover deploy beta"
    third = msgspec.structs.replace(declared.stores[0], name="cold", provider="east", site="")
    more = msgspec.structs.replace(declared, stores=(*declared.stores, third))
    enough = judge(more, seen(), stores=(refused,))
    assert enough.level is Level.WARNING and "providers take" not in enough.summary


def test_one_site_alone_hears_nothing_of_the_others() -> None:
    look = seen(gamma=None)
    assert judge(fleet(), look, site="gamma").level is Level.WARNING
    alone = judge(fleet(), look, site="beta")
    assert alone.level is Level.OK
    assert [site.name for site in alone.view.sites] == ["beta"]


def test_unknown_is_shown_as_unknown() -> None:
    view = judge(fleet(), nothing_seen()).view
    assert [(site.state, site.lag_bytes, site.seen_s_ago) for site in view.sites] == [("unknown", None, None)] * 3
    assert view.record is None
    assert view.proven_restore_age_s is None
