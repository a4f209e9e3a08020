"""Agents of this version and the one before, side by side: each reads what the other says and writes.

``before`` holds the values of the version before, as they were. A version after this one is made of today's by adding
a field to every object, which is all that a version may do.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from failover.adapters.record_value import decode_record, encode_record
from failover.model.observation import AgentState, GateFacts, Kept
from failover.model.record import AcceptedLoss, Alone, Move, Record
from failover.model.spec import HostSpec, body_digest
from failover.model.version import VERSION
from failover.planner.check import judge
from failover.planner.hostspec import host_spec
from failover.planner.keeper import Idle, Swap, decide
from tests.fakes.hosts import ALPHA, BETA, agent, fleet, record, seen
from tests.fakes.wired import SECRETS
from tests.unit.keeper.test_decide import database, facts, protected_primary
from tests.unit.keeper.test_decide import record as keeper_record
from tests.unit.wire import before

MOVE = Move(run="r", kind="promote", source=ALPHA, target=BETA, budget_s=60.0, accept_loss_s=5.0)
ALONE = Alone(from_lsn=1, held_by=(BETA,), written_lsn=2, seconds_s=3.0, at_unix_s=4.0)
STATE = msgspec.structs.replace(
    agent("alpha", record(move=MOVE, alone=ALONE)), kept=Kept(id="x", commits=1, wal_bytes=2), record_known_s=7.0
)
SPEC = host_spec(fleet(), fleet().site("alpha"), SECRETS, serial=4)
NOW: dict[str, Any] = {"AgentState": STATE, "Record": record(move=MOVE), "GateFacts": GateFacts(state="open")}
NOW["HostSpec"] = SPEC


def grown(value: object) -> object:
    """As a later version would write it: one more field in every object."""
    if isinstance(value, dict):
        return {"a_later_field": {"deep": [1]}, **{key: grown(one) for key, one in value.items()}}
    return [grown(one) for one in value] if isinstance(value, list) else value


def same(old: Any, new: Any) -> None:
    """Every field that both know says the same."""
    for name in old.__struct_fields__:
        mine, theirs = getattr(old, name), getattr(new, name)
        if isinstance(mine, msgspec.Struct):
            same(mine, theirs)
        elif isinstance(mine, tuple) and mine and isinstance(mine[0], msgspec.Struct):
            assert len(mine) == len(theirs)
            for one, other in zip(mine, theirs, strict=True):
                same(one, other)
        else:
            assert mine == theirs, name


@pytest.mark.parametrize("name", NOW)
def test_the_version_before_reads_what_this_one_says_and_back(name: str) -> None:
    kind = getattr(before, name)
    old = msgspec.json.decode(msgspec.json.encode(NOW[name]), type=kind)
    same(old, NOW[name])
    again = msgspec.json.decode(msgspec.json.encode(old), type=type(NOW[name]))
    same(old, again)


@pytest.mark.parametrize("name", NOW)
def test_this_version_reads_what_a_later_one_says(name: str) -> None:
    later = msgspec.json.encode(grown(msgspec.to_builtins(NOW[name])))
    kind: type[Any] = type(NOW[name])
    if name == "HostSpec":  # environments hold names, not fields
        later = msgspec.json.encode({"a_later_field": 1, **msgspec.to_builtins(SPEC)})
    assert msgspec.json.decode(later, type=kind) == NOW[name]


def test_what_was_added_is_not_known_where_it_is_not_said() -> None:
    old = msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(STATE), type=before.AgentState))
    state = msgspec.json.decode(old, type=AgentState)
    assert (state.kept, state.record_known_s) == (None, 0.0)
    assert state.record is not None and (state.record.alone, state.record.accepted) == (None, ())


def test_a_swap_keeps_what_a_later_version_wrote_into_the_record() -> None:
    content = {"a_later_field": {"deep": [1]}, **msgspec.json.decode(encode_record(record()))}
    mine = decode_record(msgspec.json.encode(content), where="here")
    assert msgspec.json.decode(encode_record(mine.next(sync=())))["a_later_field"] == {"deep": [1]}


def test_a_quarantine_is_hidden_from_the_version_before_by_its_own_check() -> None:
    """It would rewind the copy: its adapters refuse a record of another version than 1."""
    loss = AcceptedLoss(epoch=5, run="r", source=ALPHA, target=BETA, fork_lsn=1, accepted_s=1.0)
    kept = record(primary=BETA, sync=()).next(accepted=(loss,))
    assert msgspec.json.decode(encode_record(kept), type=before.Record).version == 2
    assert msgspec.json.decode(encode_record(kept.release(ALPHA, "q")), type=before.Record).version == 1


def test_a_kind_of_move_that_this_version_does_not_know_moves_nothing() -> None:
    move = Move(run="r", kind="teleport", source=ALPHA, target=BETA, budget_s=60.0)
    now: Record = keeper_record(move=move)
    assert isinstance(decide(facts("alpha", now, protected_primary())), Idle)
    started = decide(facts("alpha", now, database("stopped", now.primary, was_primary=True)))
    assert isinstance(started, Swap) and started.permits_start, "nor does it keep a primary from starting"


def test_a_spec_with_more_than_this_version_knows_is_the_spec_that_was_sent() -> None:
    """Else every deploy would send it again, and ``check`` would call it drifted."""
    sent = msgspec.json.encode({**msgspec.to_builtins(SPEC), "a_later_field": {"x": 1.5}})
    stored = msgspec.json.decode(sent, type=HostSpec)
    assert body_digest(sent) != stored.digest()
    assert body_digest(msgspec.json.encode(msgspec.structs.replace(SPEC, serial=99))) == SPEC.digest()
    changed = msgspec.structs.replace(SPEC, promote="ask" if SPEC.promote == "auto" else "auto")
    assert changed.digest() != SPEC.digest()


def test_a_field_that_is_added_with_a_default_restarts_no_service() -> None:
    for service in SPEC.services:
        later = msgspec.defstruct(
            "Later", [("a_later_field", str, "")], bases=(type(service),), frozen=True, kw_only=True, omit_defaults=True
        )
        same_service = msgspec.convert(msgspec.to_builtins(service), type=later)
        assert same_service.digest() == service.digest()


def test_check_says_which_agents_run_another_version() -> None:
    def found(version: str) -> list[str]:
        look = seen(beta=msgspec.structs.replace(agent("beta", record()), version=version))
        return [one.message for one in judge(fleet(), look).findings if one.code == "versions-differ"]

    assert found(VERSION) == []
    (told,) = found("0.0.9")
    assert "beta 0.0.9" in told and VERSION in told


def test_the_version_is_the_packages() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["version"] == VERSION
