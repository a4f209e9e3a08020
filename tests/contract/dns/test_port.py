"""What every DNS provider promises, whatever is behind it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from failover.errors import Damaged, Denied, OutcomeUnknown, Unreachable
from failover.ports.dns import DnsChange, NameSet
from tests.contract.dns.worlds import World
from tests.integration.edge.fleets import NAME, ZONE

PRIMARY = f"primary.{NAME}"
A, B = "203.0.113.1", "203.0.113.2"
DEADLINE_S = 10.0


def names(*public: str, primary: str, ttl_s: int = 5) -> NameSet:
    return NameSet(zone=ZONE, ttl_s=ttl_s, addresses={NAME: public, PRIMARY: (primary,)})


BOTH = names(A, B, primary=A)


def test_apply_makes_it_so_and_a_second_time_changes_nothing(world: World) -> None:
    assert world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S) == (
        DnsChange(name=PRIMARY, before=(), after=(A,)),
        DnsChange(name=NAME, before=(), after=(A, B)),
    )
    assert world.dns.served("alpha", (NAME, PRIMARY), deadline_s=DEADLINE_S) == {NAME: (A, B), PRIMARY: (A,)}
    assert world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S) == ()


def test_plan_tells_what_apply_will_do_and_changes_nothing(world: World) -> None:
    world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S)
    moved = names(B, primary=B)
    planned = world.dns.plan("alpha", moved, deadline_s=DEADLINE_S)
    assert planned == (
        DnsChange(name=PRIMARY, before=(A,), after=(B,)),
        DnsChange(name=NAME, before=(A, B), after=(B,)),
    )
    assert world.dns.served("alpha", (NAME,), deadline_s=DEADLINE_S) == {NAME: (A, B)}
    assert world.dns.apply("alpha", moved, deadline_s=DEADLINE_S) == planned
    assert world.dns.served("alpha", (NAME, PRIMARY), deadline_s=DEADLINE_S) == {NAME: (B,), PRIMARY: (B,)}


def test_a_new_ttl_alone_is_a_change(world: World) -> None:
    world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S)
    changes = world.dns.apply("alpha", names(A, B, primary=A, ttl_s=60), deadline_s=DEADLINE_S)
    assert {change.name for change in changes} == {NAME, PRIMARY}
    assert all(change.before == change.after for change in changes)


def test_one_provider_per_call(world: World) -> None:
    world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S)
    assert world.dns.served("beta", (NAME,), deadline_s=DEADLINE_S) == {NAME: ()}


def test_a_name_is_never_emptied(world: World) -> None:
    world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S)
    empty = NameSet(zone=ZONE, ttl_s=5, addresses={NAME: ()})
    with pytest.raises(ValueError, match="never emptied"):
        world.dns.apply("alpha", empty, deadline_s=DEADLINE_S)
    assert world.dns.served("alpha", (NAME,), deadline_s=DEADLINE_S) == {NAME: (A, B)}


def test_a_zone_that_is_not_there_is_named_and_never_made(world: World) -> None:
    world.drop_zone("alpha")
    with pytest.raises(Damaged):
        world.dns.plan("alpha", BOTH, deadline_s=DEADLINE_S)
    with pytest.raises(Damaged):
        world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S)
    with pytest.raises(Unreachable):
        world.dns.served("alpha", (NAME,), deadline_s=DEADLINE_S)


def test_a_refused_key_is_denied(world: World) -> None:
    world.wrong_key("alpha")
    for call in (world.dns.plan, world.dns.apply):
        with pytest.raises(Denied):
            call("alpha", BOTH, deadline_s=DEADLINE_S)
    assert world.dns.served("alpha", (NAME,), deadline_s=DEADLINE_S) == {NAME: ()}


def call_each(world: World, deadline_s: float) -> list[Callable[[], object]]:
    return [
        lambda: world.dns.plan("alpha", BOTH, deadline_s=deadline_s),
        lambda: world.dns.apply("alpha", BOTH, deadline_s=deadline_s),
        lambda: world.dns.served("alpha", (NAME,), deadline_s=deadline_s),
    ]


def test_a_dead_provider_is_unreachable_and_the_other_one_is_not_stopped(world: World) -> None:
    world.kill("alpha")
    for call in call_each(world, DEADLINE_S):
        with pytest.raises(Unreachable) as caught:
            call()
        # Nothing was sent: sending again is safe.
        assert not isinstance(caught.value, OutcomeUnknown)
    assert len(world.dns.apply("beta", BOTH, deadline_s=DEADLINE_S)) == 2


def test_a_silent_provider_is_unreachable_within_the_deadline(world: World) -> None:
    world.freeze("alpha")
    for call in call_each(world, 1.5):
        begun = time.monotonic()
        with pytest.raises(Unreachable):
            call()
        assert time.monotonic() - begun < 2.5
    world.thaw("alpha")
    assert len(world.dns.apply("alpha", BOTH, deadline_s=DEADLINE_S)) == 2


def test_calls_to_two_providers_run_side_by_side(world: World) -> None:
    world.freeze("alpha")
    told: dict[str, object] = {}

    def call(site: str, deadline_s: float) -> None:
        try:
            told[site] = len(world.dns.apply(site, BOTH, deadline_s=deadline_s))
        except Unreachable as error:
            told[site] = type(error)

    threads = [threading.Thread(target=call, args=("alpha", 3.0)), threading.Thread(target=call, args=("beta", 9.0))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=15)
    assert told["beta"] == 2
    assert told["alpha"] in (Unreachable, OutcomeUnknown)
