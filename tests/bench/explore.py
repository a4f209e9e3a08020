"""The explorer over wider bounds than a test run can wait for: worlds, worlds a second, bounds, violations.

Searches of three kinds, and each line says of which: what the tests visit and what is wider, both to their end, and
what is too wide to end, which is budgeted: it gets its share of the worlds that are still wanted.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.lines import contender, say, verdict
from tests.explore import trio
from tests.explore.deciding import Decider
from tests.explore.scenarios import BUDGETED, LAWS, SOUND, WIDE, Bounds, explore
from tests.explore.search import Found, lines

_CI_WORLDS, _CI_CPU_S = 200_000, 60.0
_LEAST_SHARE = 20_000
"""Worlds of a budgeted search, however many the others had."""


def explore_wide(states: int, *, contest: bool) -> int:
    """Every search, then every law switched off. Until ``states`` distinct worlds were seen in all."""
    del contest
    seen, cpu_s, violations, unended = 0, 0.0, 0, 0
    in_tests = (0, 0.0)
    for name, kind, bounds, found in _searches(states):
        seen, cpu_s = seen + found.states, cpu_s + found.cpu_s
        if kind == "tests":
            in_tests = (in_tests[0] + found.states, in_tests[1] + found.cpu_s)
        violations += bool(found.why)
        unended += not found.complete and kind != "budgeted"
        if found.why:
            say("\n".join((found.why, *lines(found.schedule))))
        contender(
            name, kind=kind, bounds=bounds, states=found.states, exhaustive=found.complete,
            states_per_cpu_s=round(found.states / max(found.cpu_s, 0.001)), violation=found.why,
        )  # fmt: skip
    missed = _laws()
    ci = in_tests[0] >= _CI_WORLDS and in_tests[1] <= _CI_CPU_S
    say(f"{seen} worlds in {cpu_s:.0f} processor seconds ({seen / cpu_s:.0f} a second), {violations} violations; "
        f"the searches of the tests: {in_tests[0]} worlds in {in_tests[1]:.1f} processor seconds; "
        f"laws off and not caught: {missed or 'none'}")  # fmt: skip
    limit = (f">= {states} distinct worlds, 0 violations, every search not called budgeted ended, every law off "
             f"caught; in tests >= {_CI_WORLDS} worlds in <= {_CI_CPU_S:.0f} processor seconds")  # fmt: skip
    held = not violations and not unended and not missed and seen >= states and ci
    return verdict("explore", ours=seen, theirs=None, limit=limit, held=held)


def _searches(states: int) -> Iterator[tuple[str, str, dict[str, object], Found]]:
    """Name, kind, bounds, what was found: one after the other, so that only one is in memory."""
    seen = 0
    for kind, searches in (("tests", SOUND), ("wide", WIDE)):
        for name, bounds in searches.items():
            found = explore(bounds, Decider())
            seen += found.states
            yield name, kind, _told(bounds), found
    found = trio.explore(writes=2, deaths=3)
    seen += found.states
    yield "three copies", "wide", {"writes": 2, "deaths": 3}, found
    left = len(BUDGETED)
    for name, bounds in BUDGETED.items():
        found = explore(bounds, Decider(), limit=max((states - seen) // left, _LEAST_SHARE))
        seen, left = seen + found.states, left - 1
        yield name, "budgeted", _told(bounds), found


def _told(bounds: Bounds) -> dict[str, object]:
    return {key: value for key, value in bounds._asdict().items() if value}


def _laws() -> list[str]:
    """Each law off, with the shortest schedule that breaks something; returns those that nothing caught."""
    missed = []
    for law, bounds in LAWS.items():
        found = explore(bounds, Decider(off=frozenset({law})), limit=400_000)
        say("\n".join((f"without {law}: {found.why or 'NOT CAUGHT'}", *lines(found.schedule))))
        if not found.why:
            missed.append(law)
    if not trio.explore(writes=1, deaths=1, any_one=True).why:
        missed.append("B3")
    return missed
