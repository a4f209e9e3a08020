"""A standby whose connections break is looked at closely, and the others are asked for their word on it at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from failover.agent.prober import Prober
from failover.agent.view import HostView, boot_s
from failover.model.observation import AgentState, DatabaseFacts, GateFacts
from failover.model.spec import Peer
from failover.planner.hostspec import host_spec
from tests.fakes.hosts import BETA, fleet, record
from tests.fakes.wired import SECRETS

_FOR_EVER_S = 3600.0


class Peers:
    """A standby at beta whose connections break when the test says so, and a witness that counts who asks it."""

    def __init__(self) -> None:
        self.dead = asyncio.Event()
        self.wired = asyncio.Event()
        self.probes = 0
        self.asked: list[str] = []

    async def database_answers(self, *, address: str, port: int, timeout_s: float) -> bool:
        self.probes += 1
        return not self.dead.is_set()

    async def database_hangs_up(self, *, address: str, port: int) -> bool:
        if self.dead.is_set():
            return False
        self.wired.set()
        await self.dead.wait()
        return True

    async def agent_state(self, *, address: str, port: int, timeout_s: float) -> AgentState:
        self.asked.append(address)
        data = address == fleet().site("beta").address
        return AgentState(
            site="beta" if data else "gamma", provider="", role="", version="", boot="", spec_serial=1, spec_digest="",
            record=None, record_s_ago=None, database=DatabaseFacts(state="standby" if data else "absent", member=BETA),
            services=(), gate=GateFacts(state="open"), probes=(), serving=False, unprotected_s=0.0, doing="",
        )  # fmt: skip


@pytest.fixture
def view(tmp_path: Path) -> HostView:
    """alpha, primary; looks at everybody once an hour unless something happens."""
    made = HostView(host_dir=tmp_path, site="alpha", provider="north")
    spec = host_spec(fleet(), fleet().site("alpha"), SECRETS, serial=1)
    peers = tuple(
        Peer(site=name, provider=fleet().site(name).provider, address=fleet().site(name).address, agent_port=1,
             database_port=port)
        for name, port in (("beta", 5432), ("gamma", 0))
    )  # fmt: skip
    made.adopt_spec(msgspec.structs.replace(spec, peers=peers, probe_every_s=_FOR_EVER_S))
    made.saw_record(record(), asked_at_s=boot_s())
    return made


def test_a_standby_that_hangs_up_is_found_down_and_the_witness_asked_before_the_next_round(view: HostView) -> None:
    assert view.record is not None and view.record.primary_site == "alpha" and view.record.sync == (BETA,)
    peers = Peers()
    witness = fleet().site("gamma").address

    async def story() -> None:
        prober = asyncio.create_task(Prober(view, peers).run())  # type: ignore[arg-type]
        while len(peers.asked) < 2:  # both, once
            await asyncio.sleep(0.01)
        assert peers.probes == 1 and view.verdict_on("beta") == "up"
        await peers.wired.wait()
        peers.dead.set()
        while view.verdict_on("beta") != "down" or peers.asked.count(witness) < 2:
            await asyncio.sleep(0.01)
        prober.cancel()

    asyncio.run(asyncio.wait_for(story(), 30.0))
    assert view.spec is not None
    assert peers.probes >= 1 + view.spec.probe_failures
