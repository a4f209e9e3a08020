"""The agent's end of the shipper: a real process that does as told, dies, hangs, or never says a word."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from failover.agent.ship_loop import ShipLoop, hung_up_before
from failover.agent.view import HostView, boot_s
from failover.model.record import Move
from failover.model.spec import Peer
from failover.planner.hostspec import host_spec
from failover.planner.wal import KEEP, REST, SHIP
from tests.fakes.hosts import ALPHA, BETA, agent, database, fleet, record
from tests.fakes.wired import SECRETS

_DEADLINE_S = 60.0
# Says its duty and how far it is; "stubborn" ones rest only when they are killed.
SHIPPER = """
import json, sys
print(json.dumps({"duty": "rest"}), flush=True)
for line in sys.stdin:
    order = json.loads(line)
    if sys.argv[1] == "dying" and order["duty"] == "ship":
        sys.exit(3)
    if sys.argv[1] == "stubborn" and order["duty"] == "rest":
        continue
    facts = {"duty": order["duty"], "acknowledged_lsn": 400 + order["safe"], "exposure_bytes": 7, "exposure_s": 0.1}
    print(json.dumps(facts), flush=True)
"""
MOVE = Move(run="r1", kind="switchover", source=ALPHA, target=BETA, budget_s=3600)


@pytest.fixture
def view(tmp_path: Path) -> HostView:
    (tmp_path / "run").mkdir()
    made = HostView(host_dir=tmp_path, site="alpha", provider="north")
    spec = host_spec(fleet(), fleet().site("alpha"), SECRETS, serial=1)
    peer = Peer(site="beta", provider="south", address="127.0.0.1", agent_port=1, database_port=1)
    made.adopt_spec(msgspec.structs.replace(spec, peers=(peer,)))
    made.saw_record(record(), asked_at_s=boot_s())
    made.database = database("alpha", record())
    made.serving = True
    return made


def lived(view: HostView, how: str, story: Callable[[ShipLoop], Awaitable[None]]) -> ShipLoop:
    loop = ShipLoop(view, (sys.executable, "-c", SHIPPER, how), log_file=view.host_dir / "log" / "ship.log")

    async def go() -> None:
        running = asyncio.create_task(loop.run())
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await story(loop)
        finally:
            running.cancel()
            await asyncio.wait([running])

    asyncio.run(go())
    return loop


async def says(loop: ShipLoop, duty: str) -> None:
    while (facts := loop.facts()) is None or facts.duty != duty:
        await asyncio.sleep(0.01)


def test_it_ships_at_the_primary_and_rests_while_the_primary_is_moved_away(view: HostView) -> None:
    async def story(loop: ShipLoop) -> None:
        await says(loop, SHIP)
        view.saw_record(record(move=MOVE, revision=42), asked_at_s=boot_s())
        await says(loop, REST)
        process = loop._process
        await loop.hang_up()
        assert loop._process is process and process is not None and process.returncode is None, "it rested already"
        view.saw_record(record(revision=43), asked_at_s=boot_s())
        await says(loop, SHIP)

    lived(view, "obedient", story)
    assert "shipper" not in view.trouble


def test_one_that_does_not_rest_is_killed_before_the_database_is_stopped(view: HostView) -> None:
    stops: list[bool] = []

    async def story(loop: ShipLoop) -> None:
        class Stopping:
            async def stop(self, *, clean: bool, budget_s: float) -> bool:
                stops.append(process is not None and process.returncode is not None)
                return clean

            async def received(self) -> int:
                return 5

        await says(loop, SHIP)
        view.saw_record(record(move=MOVE, revision=42), asked_at_s=boot_s())
        process = loop._process
        quieted = hung_up_before(Stopping(), loop.hang_up)  # type: ignore[arg-type]
        assert await quieted.stop(clean=True, budget_s=1.0)
        assert await quieted.received() == 5
        view.database = msgspec.structs.replace(view.database, state="stopped")
        await says(loop, REST)
        view.database = msgspec.structs.replace(view.database, state="standby")
        await says(loop, KEEP)

    lived(view, "stubborn", story)
    assert stops == [True]


def test_one_that_does_not_rest_within_a_second_is_ended(view: HostView) -> None:
    async def story(loop: ShipLoop) -> None:
        await says(loop, SHIP)
        process = loop._process
        view.saw_record(record(move=MOVE, revision=42), asked_at_s=boot_s())
        await says(loop, REST)
        assert process is not None and process.returncode is not None
        view.saw_record(record(revision=43), asked_at_s=boot_s())
        await says(loop, SHIP)

    lived(view, "stubborn", story)


def test_a_standbys_slot_is_let_go_as_far_as_the_primary_said(view: HostView) -> None:
    of = record(primary=BETA, sync=(ALPHA,), revision=50)

    async def story(loop: ShipLoop) -> None:
        view.saw_record(of, asked_at_s=boot_s())
        view.database, view.serving = database("alpha", of), False
        await says(loop, KEEP)
        while (facts := loop.facts()) is None or facts.acknowledged_lsn != 400:
            await asyncio.sleep(0.01)
        shipping = msgspec.structs.replace(facts, duty=SHIP, acknowledged_lsn=1000)
        view.peers["beta"].state = agent("beta", of, shipping=shipping)
        while (facts := loop.facts()) is None or facts.acknowledged_lsn != 1400:
            await asyncio.sleep(0.01)

    lived(view, "obedient", story)


def test_one_that_dies_is_told_of_and_started_again(view: HostView) -> None:
    async def story(loop: ShipLoop) -> None:
        for _ in range(2):
            while "ended (3)" not in view.trouble.get("shipper", ""):
                await asyncio.sleep(0.01)
            while "shipper" in view.trouble:  # the next one has said its first word
                await asyncio.sleep(0.01)

    lived(view, "dying", story)


def test_it_dies_with_its_agent(view: HostView) -> None:
    found = []

    async def story(loop: ShipLoop) -> None:
        await says(loop, SHIP)
        found.append(loop._process)

    lived(view, "obedient", story)
    assert found[0] is not None and found[0].returncode is not None
