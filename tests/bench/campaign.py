"""``campaign``: kills at random instants, the history published and judged by the independent checker.

The files stay in ``.failover/campaign/`` of the checkout: ``python -m tests.history.check FOLDER`` reads them again.
"""

from __future__ import annotations

import shutil
import time

from tests.bench.lines import contender, say, verdict
from tests.bench.moves import fleet
from tests.e2e.campaign_run import run_campaign
from tests.e2e.harness import ROOT

_BLOCK = 149
_SEED = 20261125


def campaign(runs: int, *, contest: bool) -> int:
    """``runs`` kills, also in the middle of moves and of other recoveries."""
    del contest
    folder = ROOT / ".failover" / "campaign" / f"{time.strftime('%Y%m%dT%H%M%S')}-{_SEED}"
    with fleet(_BLOCK) as one:
        outcome = run_campaign(one, folder, kills=runs, seed=_SEED, say=say)
        reports = folder / "logs"
        for log in one.state.glob("sites/*/log/agent.log"):
            (reports / log.parts[-3]).mkdir(parents=True, exist_ok=True)
            shutil.copy(log, reports / log.parts[-3] / log.name)
    tally = outcome.tally
    for line in [*outcome.verdict.splitlines()[:-1], *tally.log, *outcome.left]:
        say(f"WRONG {line}")
    contender(
        "failover", kills=dict(tally.kills), recovered=tally.recovered, dead_side_calls=tally.calls,
        calls_of_commands_cut_off=tally.calls_of_the_cut_off, calls_to_a_witness=tally.calls_to_a_witness,
        slowest_s=round(tally.slowest_s, 1),
        left_over=len(outcome.left), history=str(folder), **outcome.figures,
    )  # fmt: skip
    held = tally.recovered == runs and outcome.status == 0 and not tally.calls and not outcome.left
    limit = f"{runs} of {runs} recovered, history sound, 0 calls to the dead side"
    return verdict("campaign", ours=tally.recovered, theirs=None, limit=limit, held=held)
