"""``campaign``: kills at random instants, the history published and judged by the independent checker.

The files stay in ``.failover/campaign/`` of the checkout: ``python -m tests.history.check FOLDER`` reads them again.
"""

from __future__ import annotations

import time
from collections import Counter

from tests.bench.lines import contender, say, verdict
from tests.bench.moves import fleet
from tests.e2e.campaign_run import Outcome, run_campaign
from tests.e2e.harness import ROOT, keep_logs

_BLOCK = 149
_SEED = 20261125
_FLEETS = 4
"""So many at most: a fleet that never recovers is left, and the rest of the kills fall on a new one."""


def campaign(runs: int, *, contest: bool, block: int = _BLOCK) -> int:
    """``runs`` kills, also in the middle of moves and of other recoveries."""
    del contest
    folder = ROOT / ".failover" / "campaign" / f"{time.strftime('%Y%m%dT%H%M%S')}-{_SEED}"
    outcomes: list[Outcome] = []
    while len(outcomes) < _FLEETS and (left := runs - sum(one.tally.total for one in outcomes)) > 0:
        number = len(outcomes)
        with fleet(block) as one:
            part = folder / f"fleet-{number}"
            outcomes.append(run_campaign(one, part, kills=left, seed=_SEED + number, say=say))
            keep_logs(one, part)
    for outcome in outcomes:
        found = outcome.verdict.splitlines()[: -1 if outcome.figures else None]
        for line in [*outcome.tally.bad, *found, *outcome.tally.log, *outcome.left]:
            say(f"WRONG {line}")
    tallies = [outcome.tally for outcome in outcomes]
    kills = sum((tally.kills for tally in tallies), Counter[str]())
    figures = sum((Counter(outcome.figures) for outcome in outcomes), Counter[str]())
    recovered, calls = sum(tally.recovered for tally in tallies), sum(tally.calls for tally in tallies)
    left_over = sum(len(outcome.left) for outcome in outcomes)
    contender(
        "failover", kills=dict(kills), recovered=recovered, dead_side_calls=calls,
        calls_of_commands_cut_off=sum(tally.calls_of_the_cut_off for tally in tallies),
        calls_to_a_witness=sum(tally.calls_to_a_witness for tally in tallies), fleets=len(outcomes),
        slowest_s=round(max(tally.slowest_s for tally in tallies), 1), left_over=left_over, history=str(folder),
        **{"violations": 0, **figures},
    )  # fmt: skip
    sound = all(outcome.status == 0 for outcome in outcomes)
    held = recovered == runs and sound and not calls and not left_over
    limit = f"{runs} of {runs} recovered, history sound, 0 calls to the dead side"
    return verdict("campaign", ours=recovered, theirs=None, limit=limit, held=held)
