"""An agent dies at the act of its keeper that it is told to, once, and passes everything else on."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from failover.agent import strike


class Database:
    """Two calls of the port, one that changes something and one that only looks."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    async def rewind(self, upstream: str, member: str) -> bool:
        self.calls.append(f"rewind {upstream} {member}")
        return True

    async def facts(self) -> str:
        return "facts"


@pytest.mark.parametrize(("at", "done"), [("rewind/before", 0), ("rewind/after", 1)])
def test_it_dies_there_and_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, done: int) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / strike.FILE).write_text(at)
    inner = Database()
    one = strike.struck(inner, tmp_path)
    done_at_death: list[int] = []
    monkeypatch.setattr("failover.agent.strike.os.kill", lambda pid, number: done_at_death.append(len(inner.calls)))
    assert asyncio.run(one.facts()) == "facts"
    assert done_at_death == []
    asyncio.run(one.rewind("beta", "alpha_1"))
    assert done_at_death == [done]
    asyncio.run(one.rewind("beta", "alpha_2"))
    assert done_at_death == [done] and inner.calls == ["rewind beta alpha_1", "rewind beta alpha_2"]


def test_nothing_is_wrapped_when_nothing_is_to_die(tmp_path: Path) -> None:
    inner = Database()
    assert strike.struck(inner, tmp_path) is inner


def test_every_changing_call_of_the_port_is_a_point() -> None:
    assert {"create", "start_primary", "start_standby", "stop", "promote", "seed", "rewind", "swap"} <= set(strike.ACTS)
    assert not {"facts", "certificates", "__init__"} & set(strike.ACTS)
    assert len(strike.points()) == 2 * len(strike.ACTS)
