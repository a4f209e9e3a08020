"""``journal list`` and ``journal show``."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.options import options
from failover.cli.wiring import wire
from failover.errors import Exit
from failover.render.json import JournalShown
from failover.render.out import say, say_json
from failover.render.text import journal_text, runs_text

app = typer.Typer(name="journal", help="What was done.", no_args_is_help=True, rich_markup_mode=None)


@app.command(name="list")
def list_runs(context: typer.Context) -> int:
    """Every run, newest first."""
    given = options(context)
    runs = wire(given).journal.runs()
    if given.json:
        say_json(JournalShown(runs=runs))
    else:
        say(runs_text(runs))
    return int(Exit.DONE)


@app.command()
def show(
    context: typer.Context, run: Annotated[str, typer.Argument(metavar="RUN", help="As journal list shows it.")]
) -> int:
    """One run, line by line."""
    given = options(context)
    journal = wire(given).journal
    view, lines = journal.run(run), journal.lines(run)
    if given.json:
        say_json(JournalShown(runs=(view,), lines=lines, plan=journal.plan(run)))
    else:
        say(journal_text(view, lines))
    return int(Exit.DONE)
