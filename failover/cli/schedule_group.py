"""``schedule install``, ``list``, ``remove``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from failover.cli.options import duration, options
from failover.cli.wiring import wire
from failover.errors import Exit
from failover.model.units import format_duration
from failover.operations.schedule import KINDS, install, job_name, jobs, listed, places, remove, texts
from failover.render.json import DoneShown
from failover.render.out import say, say_json

app = typer.Typer(
    name="schedule", help="Run check, and snapshots, again and again.", no_args_is_help=True, rich_markup_mode=None
)


@app.command(name="install")
def install_check(
    context: typer.Context,
    every: Annotated[str, typer.Option(metavar="DURATION", help="How often it is checked.")] = "1m",
    only_print: Annotated[bool, typer.Option("--print", help="Show what would be written; write nothing.")] = False,
) -> int:
    """Check this fleet again and again; take, prove and prune its snapshots. Systemd timers, or crontab lines.
    Repeatable."""
    given = options(context)
    wired = wire(given)
    command = (sys.executable, "-m", "failover", "--fleet", str(wired.fleet_path))
    wanted = jobs(wired.fleet, command, every=duration(every, "--every"))
    where = places()
    if only_print:
        say("".join(f"# {path}\n{text}" for job in wanted for path, text in texts(job, where).items()))
        return int(Exit.DONE)
    for job in wanted:
        texts(job, where)  # all of them can be written, or none is
    written = tuple(dict.fromkeys(path for job in wanted for path in install(job, where)))
    also = "".join(f", {job.kind} each {format_duration(job.every)}" for job in wanted[1:])
    return _done(context, f"check runs each {every}{also}", written)


@app.command(name="list")
def list_checks(context: typer.Context) -> int:
    """Every entry of ours on this machine."""
    found = listed(places())
    return _done(context, f"{len(found)} entries", found)


@app.command(name="remove")
def remove_check(context: typer.Context) -> int:
    """Take this fleet's entries away. Silent when there is none."""
    name = wire(options(context)).fleet.name
    gone = tuple(path for kind in KINDS for path in remove(job_name(kind, name), places()))
    return _done(context, "removed" if gone else "there was none", gone)


def _done(context: typer.Context, summary: str, paths: tuple[str, ...]) -> int:
    if options(context).json:
        say_json(DoneShown(verb="schedule", summary=summary, written=paths))
    else:
        say("\n".join((summary, *paths)))
    return int(Exit.DONE)
