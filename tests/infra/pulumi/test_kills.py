"""A few seeds of SIGKILL at a random instant; ``python -m tests.infra.pulumi.kills N`` runs as many as one likes."""

from __future__ import annotations

import pytest

from tests.infra.pulumi.fleets import StackFleet
from tests.infra.pulumi.kills import VICTIMS, kill_and_repair


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_up_arrives_after_a_kill(fleet: StackFleet, seed: int) -> None:
    done = kill_and_repair(fleet, seed, VICTIMS[seed % len(VICTIMS)])
    assert done.repaired_s < 60
