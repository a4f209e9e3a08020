"""``record show``: the small truth, as it is stored. Read only; the one way to change it is a run."""

from __future__ import annotations

import typer

from failover.cli.options import options
from failover.cli.wiring import wire
from failover.errors import Exit, Refused
from failover.render.json import RecordShown
from failover.render.out import say, say_json
from failover.render.record import record_text

app = typer.Typer(name="record", help="The fleet's record.", no_args_is_help=True, rich_markup_mode=None)
_READ_S = 3.0


@app.callback()
def group() -> None:
    """The fleet's record."""


@app.command()
def show(context: typer.Context) -> int:
    """Who is primary, who is in sync, how long nobody was, what was accepted."""
    given = options(context)
    wired = wire(given)
    try:
        record = wired.record.read(deadline_s=_READ_S)
    finally:
        wired.close()
    if record is None:
        raise Refused("there is no record yet: the fleet was never deployed", hint="failover deploy")
    if given.json:
        say_json(RecordShown(record=record))
    else:
        say(record_text(record))
    return int(Exit.DONE)
