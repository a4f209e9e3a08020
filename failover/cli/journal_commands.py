"""``resume``."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.answers import show_report
from failover.cli.changing import watched
from failover.cli.options import options
from failover.cli.wiring import wire
from failover.operations.resume import resume as go_on

app = typer.Typer(name="journals", rich_markup_mode=None)


@app.command()
def resume(
    context: typer.Context,
    run: Annotated[str, typer.Argument(metavar="RUN", help="As failover journal list shows it.")],
    undo: Annotated[bool, typer.Option("--undo", help="Take it back instead; only before its commit step.")] = False,
) -> int:
    """Go on with a run that stopped, from its stored plan."""
    given = options(context)
    wired = wire(given)
    try:
        report = watched(given, lambda watch, interrupt: go_on(wired, run, undo=undo, watch=watch, interrupt=interrupt))
    finally:
        wired.close()
    return show_report(report, given)


@app.callback()
def group() -> None:
    """Typer makes a lone command the whole application; this keeps it a group."""
