"""What the edge of an app without a gate is told around a quiesce, and who is found to hold it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from failover.agent.gates import Gates
from failover.agent.view import HostView, boot_s
from failover.model.observation import DatabaseFacts
from failover.model.spec import ServiceSpec
from failover.planner.gate import GateOrder, Hold
from failover.planner.hostspec import host_spec
from failover.ports.probe import GateAnswer
from tests.fakes.hosts import fleet, record
from tests.fakes.wired import SECRETS


class Told:
    """An edge that keeps what it was told; ``ready`` false: no process of the app is up."""

    def __init__(self) -> None:
        self.states: list[str] = []
        self.ready = True

    async def tell(
        self, *, state: str, primary: str, epoch: int, fresh_until_s: float, wait_s: float = 0.0
    ) -> GateAnswer:
        self.states.append(state)
        answer = "hold" if state == "hold" or not self.ready else "open"
        return GateAnswer(state=answer, primary=primary, epoch=epoch, in_flight=0, waiting=0, streams=3)


@pytest.fixture
def edge() -> Told:
    return Told()


@pytest.fixture
def gates(tmp_path: Path, edge: Told, monkeypatch: pytest.MonkeyPatch) -> Gates:
    view = HostView(host_dir=tmp_path, site="alpha", provider="north")
    spec = host_spec(fleet(), fleet().site("alpha"), SECRETS, serial=1)
    gated = ServiceSpec(name="edge", command=("haproxy",), gate="run/edge.sock")
    view.adopt_spec(msgspec.structs.replace(spec, services=(gated,)))
    view.record = record()
    view.order = GateOrder(state="open", primary="alpha", epoch=5, fresh_until_s=boot_s() + 60, why="open")
    found = Gates(view, lambda _service: edge)
    monkeypatch.setattr(found, "decide", lambda: view.order)
    found.view = view  # type: ignore[attr-defined]
    return found


def test_a_quiesce_is_told_found_and_over_by_itself(gates: Gates, edge: Told) -> None:
    view: HostView = gates.view  # type: ignore[attr-defined]
    asyncio.run(gates.deliver())
    assert (edge.states, gates.facts().hold_run, gates.facts().streams) == (["open"], "", 3)
    view.quiesce = Hold(run="r7", epoch=5, until_s=boot_s() + 60)
    asyncio.run(gates.deliver(wait_s=0.1))
    assert (edge.states[-1], gates.facts().state, gates.facts().hold_run) == ("quiesce", "open", "r7")
    view.quiesce = Hold(run="r7", epoch=4, until_s=boot_s() + 60)
    asyncio.run(gates.deliver(wait_s=0.1))
    assert (edge.states[-1], gates.facts().hold_run) == ("open", ""), "another epoch"
    view.quiesce = Hold(run="r7", epoch=5, until_s=boot_s() - 1)
    asyncio.run(gates.deliver(wait_s=0.1))
    assert (edge.states[-1], gates.facts().hold_run) == ("open", ""), "its time is over"


def test_a_hold_is_told_as_one_in_the_middle_of_a_quiesce(gates: Gates, edge: Told) -> None:
    view: HostView = gates.view  # type: ignore[attr-defined]
    view.quiesce = Hold(run="r7", epoch=5, until_s=boot_s() + 60)
    assert view.order is not None
    view.order = msgspec.structs.replace(view.order, state="hold")
    asyncio.run(gates.deliver())
    assert edge.states == ["hold"]


def test_an_edge_whose_app_is_not_up_yet_is_told_again_and_is_not_open(gates: Gates, edge: Told) -> None:
    edge.ready = False
    for _ in range(3):
        asyncio.run(gates.deliver())
    assert edge.states == ["open"] * 3
    assert gates.facts().state == "hold"
    edge.ready = True
    for _ in range(3):
        asyncio.run(gates.deliver())
    assert len(edge.states) == 4, "now it is only renewed"
    assert gates.facts().state == "open"


def test_who_waits_for_a_site_to_turn_is_not_kept_awake_by_what_is_due_for_its_services(tmp_path: Path) -> None:
    """One event for both once was a loop that never slept, at the priority of the keeper, for as long as a service
    took to stop."""
    view = HostView(host_dir=tmp_path, site="alpha", provider="north")
    view.adopt_spec(host_spec(fleet(), fleet().site("alpha"), SECRETS, serial=1))
    due, turned = view.services_due, view.turned
    view.record, view.database = record(), DatabaseFacts(state="primary", member=record().primary)
    Gates(view, lambda _service: Told()).decide()
    assert (due.is_set(), turned.is_set()) == (True, False)
    view.looked()
    assert turned.is_set(), "whoever waited is told"
    assert (view.services_due, view.turned.is_set()) == (due, False)
