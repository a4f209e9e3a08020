"""``drill``."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.changing import watched
from failover.cli.options import duration, one_of, options
from failover.cli.wiring import wire
from failover.errors import Exit, UsageError
from failover.operations.drill import run_drill
from failover.operations.drill_ask import KINDS, DrillAsk
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
    site: Annotated[str, typer.Argument(metavar="SITE", help="Where writes go, or whose provider switches us off.")],
    rate: Annotated[float, typer.Option(metavar="N", help="Requests per second; two thirds are writes.")] = 300.0,
    lasting: Annotated[str, typer.Option("--for", metavar="DURATION", help="How long the load runs.")] = "15s",
    seed: Annotated[int, typer.Option(metavar="N", help="The same seed draws the same requests.")] = 1,
) -> int:
    """Rehearse: load with a ledger, a move or a fault in its middle, and a measured report."""
    given = options(context)
    one_of(kind, KINDS, "KIND")
    if not 1 <= rate <= 100_000:
        raise UsageError(f"--rate {rate:g}: between 1 and 100000 requests per second", hint="--rate 300")
    duration_s = duration(lasting, "--for").total_seconds()
    ask = DrillAsk(kind=kind, site=site, rate_per_s=rate, duration_s=duration_s, seed=seed)
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
