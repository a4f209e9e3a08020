"""A provider that says no for more than a moment stops its own site's lane, soon, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from failover.engine.order import blocked
from failover.errors import OutcomeUnknown, ProviderRefuses, Unreachable
from failover.model.journal import Outcome
from failover.model.plan import Plan
from failover.operations.handlers_host import Stacks
from failover.planner import deploy
from failover.planner.deploy import DeployAsk
from tests.fakes.hosts import ALPHA, fleet, seen


class Told:
    """A step's context, as far as a call of a stack looks at it."""

    def __init__(self, step: str, at_s: float) -> None:
        self.step = self
        self.clock = self
        self.id = step
        self._at_s = at_s

    def boottime(self) -> float:
        return self._at_s


def call(stacks: Stacks, step: str, at_s: float, error: Exception) -> None:
    def perform() -> None:
        raise error

    told: Any = Told(step, at_s)
    stacks.call("beta", told, perform)


def test_a_no_is_final_only_after_a_while_and_for_that_site_alone() -> None:
    stacks, no = Stacks(), Unreachable("the account is suspended")
    for at_s in (100.0, 104.0):
        with pytest.raises(Unreachable):
            call(stacks, "stack-beta", at_s, no)
    with pytest.raises(ProviderRefuses) as final:
        call(stacks, "stack-beta", 109.0, no)
    assert "the account is suspended" in str(final.value) and "failover deploy beta" in final.value.hint
    with pytest.raises(Unreachable):
        call(stacks, "stack-alpha", 109.0, no)


def test_an_unknown_outcome_is_never_taken_for_a_no() -> None:
    stacks = Stacks()
    for at_s in (0.0, 100.0):
        with pytest.raises(OutcomeUnknown):
            call(stacks, "stack-beta", at_s, OutcomeUnknown("it died"))


def test_what_needs_a_refusing_provider_is_not_waited_for() -> None:
    specs = dict.fromkeys(("alpha", "beta", "gamma"), "")
    plan = deploy.plan(fleet(), seen(), DeployAsk(member=ALPHA, specs=specs))
    assert isinstance(plan, Plan)
    left = blocked(plan, {"stack-beta": Outcome.FAILED})
    assert {"protected", "serving-beta", "dns-beta"} <= set(left)
    assert not {"primary", "migrate", "serving-alpha", "dns-alpha"} & set(left)
