"""``schedule install``, ``list``, ``remove``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from failover.cli.options import duration, options
from failover.cli.wiring import wire
from failover.errors import Exit
from failover.operations.schedule import Job, install, listed, places, remove, texts
from failover.render.json import DoneShown
from failover.render.out import say, say_json

app = typer.Typer(
    name="schedule", help="Run check again and again.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(name="install")
def install_check(
    context: typer.Context,
    every: Annotated[str, typer.Option(metavar="DURATION", help="How often.")] = "1m",
    only_print: Annotated[bool, typer.Option("--print", help="Show what would be written; write nothing.")] = False,
) -> int:
    """Check this fleet again and again: a systemd timer, or a line of the crontab. Repeatable."""
    given = options(context)
    wired = wire(given)
    command = (sys.executable, "-m", "failover", "--fleet", str(wired.fleet_path), "check")
    job = Job(fleet=wired.fleet.name, command=command, every=duration(every, "--every"))
    where = places()
    if only_print:
        say("".join(f"# {path}\n{text}" for path, text in texts(job, where).items()))
        return int(Exit.DONE)
    return _done(context, f"check runs each {every}", install(job, where))


@app.command(name="list")
def list_checks(context: typer.Context) -> int:
    """Every entry of ours on this machine."""
    found = listed(places())
    return _done(context, f"{len(found)} entries", found)


@app.command(name="remove")
def remove_check(context: typer.Context) -> int:
    """Take this fleet's entry away. Silent when there is none."""
    name = f"failover-check-{wire(options(context)).fleet.name}"
    gone = remove(name, places())
    return _done(context, "removed" if gone else "there was none", gone)


def _done(context: typer.Context, summary: str, paths: tuple[str, ...]) -> int:
    if options(context).json:
        say_json(DoneShown(verb="schedule", summary=summary, written=paths))
    else:
        say("\n".join((summary, *paths)))
    return int(Exit.DONE)
