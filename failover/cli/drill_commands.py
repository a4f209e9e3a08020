"""``drill``."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.changing import watched
from failover.cli.options import duration, one_of, options
from failover.cli.wiring import wire
from failover.errors import Exit, UsageError
from failover.operations.drill import run_drill
from failover.operations.drill_ask import KINDS, WAYS, WHOM, DrillAsk
from failover.render.drill import drill_text
from failover.render.out import say, say_json

app = typer.Typer(name="drills", rich_markup_mode=None)


@app.callback()
def group() -> None:
    """Typer makes a lone command the whole application; this keeps it a group."""


@app.command()
def drill(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(metavar="KIND", help=" | ".join(KINDS))],
    site: Annotated[str, typer.Argument(metavar="SITE", help="Where writes go, or whom the fault hits.")],
    rate: Annotated[float, typer.Option(metavar="N", help="Requests per second; two thirds are writes.")] = 300.0,
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long the load runs.")] = "15s",
    way: Annotated[str, typer.Option(metavar="both|out|in", help="partition: which way of SITE's links.")] = "both",
    only: Annotated[str, typer.Option(metavar="SITE", help="partition: only the link to that site.")] = "",
    rtt: Annotated[str, typer.Option(metavar="DURATION", help="slow: round trip between any two sites.")] = "40ms",
    stalls: Annotated[float, typer.Option(metavar="PERCENT", help="slow: seconds in which a path stands still.")] = 0.0,
    rolled_back: Annotated[
        bool, typer.Option("--rolled-back", help="disk: it goes back in time instead of being full.")
    ] = False,
    whom: Annotated[str, typer.Option(metavar="cli|agent", help="stop-midway: who falls asleep.")] = "cli",
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed draws the same requests.")] = 1,
) -> int:
    """Rehearse: load with a ledger, a move or a fault in its middle, and a measured report."""
    given = options(context)
    one_of(kind, KINDS, "KIND")
    if not 1 <= rate <= 100_000:
        raise UsageError(f"--rate {rate:g}: between 1 and 100000 requests per second", hint="--rate 300")
    one_of(way, WAYS, "--way")
    one_of(whom, WHOM, "--whom")
    if not 0 <= stalls <= 50:
        raise UsageError(f"--stalls {stalls:g}: between 0 and 50 percent", hint="--stalls 1")
    ask = DrillAsk(
        kind=kind,
        site=site,
        rate_per_s=rate,
        duration_s=duration(lasting, "--for").total_seconds(),
        seed=seed,
        way=way,
        only=only,
        rtt_ms=duration(rtt, "--rtt").total_seconds() * 1000,
        stalls=stalls / 100,
        whom=whom,
        rolled_back=rolled_back,
    )
    wired = wire(given)
    try:
        report, folder = watched(
            given, lambda watch, interrupt: run_drill(wired, ask, watch=watch, interrupt=interrupt)
        )
    finally:
        wired.close()
    if given.json:
        say_json(report)
    else:
        say(drill_text(report, str(folder)))
    return int(Exit.DONE if report.held else Exit.OBJECTIVE_MISSED)
