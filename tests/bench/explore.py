"""The explorer over wider bounds than a test run can wait for: states, states a second, bounds, violations."""

from __future__ import annotations

from tests.bench.lines import contender, say, verdict
from tests.explore.deciding import Decider
from tests.explore.scenarios import SOUND, WIDE, explore
from tests.explore.search import lines

_EACH = 1_200_000
"""Where one search is cut: a world takes about a kilobyte."""
_WANTED_RATE = 200_000 / 60


def explore_wide(states: int, *, contest: bool) -> int:
    """Search until ``states`` distinct worlds were seen in all; each search says whether it saw all of its own."""
    seen, cpu_s, violations = 0, 0.0, 0
    searches = {**SOUND, **WIDE}
    for name, bounds in searches.items():
        if seen >= states and name in WIDE:
            break
        say(f"{name}: {bounds}")
        found = explore(bounds, Decider(), limit=_EACH)
        seen, cpu_s = seen + found.states, cpu_s + found.cpu_s
        if found.why:
            violations += 1
            say("\n".join((found.why, *lines(found.schedule))))
        contender(
            name,
            bounds={key: value for key, value in bounds._asdict().items() if value},
            states=found.states,
            complete=found.complete,
            states_per_cpu_s=round(found.states / found.cpu_s),
            violation=found.why,
        )
    rate = seen / cpu_s
    held = not violations and seen >= states and rate >= _WANTED_RATE
    limit = f">= {states} distinct worlds, 0 violations, >= {_WANTED_RATE:.0f} worlds per processor second"
    say(f"{seen} worlds, {rate:.0f} per processor second, {violations} violations")
    return verdict("explore", ours=seen, theirs=None, limit=limit, held=held)
