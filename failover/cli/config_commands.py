"""``init`` and ``validate``: files only, no network."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.options import options
from failover.config.fleet import check_fleet
from failover.errors import Exit, UsageError
from failover.operations.init import init as write_fleet
from failover.render.findings import findings_summary, findings_text
from failover.render.json import DoneShown, ValidateShown
from failover.render.out import say, say_json

app = typer.Typer(name="configuration", rich_markup_mode=None)


@app.command()
def init(
    context: typer.Context,
    local: Annotated[bool, typer.Option("--local", help="Three providers played on this machine.")] = False,
    isolated: Annotated[
        bool, typer.Option("--isolated", help="Each site in a network of its own (198.18.N.1 …; needs root).")
    ] = False,
    stores: Annotated[
        bool, typer.Option("--stores", help="With an object store at two of them, snapshots and media.")
    ] = False,
    block: Annotated[int, typer.Option(metavar="N", help="Sites at 127.N.0.1, 127.N+10.0.1 and 127.N+20.0.1.")] = 10,
) -> int:
    """Write a commented fleet file, the workload beside it, and the fleet's trust material. Never overwrites."""
    given = options(context)
    if not local:
        raise UsageError("only the local fleet can be written for now", hint="failover init --local")
    written = write_fleet(given.fleet.absolute(), block=block, isolated=isolated, stores=stores)
    if given.json:
        say_json(DoneShown(verb="init", summary="a new fleet is declared", written=written))
    else:
        say("\n".join((*(f"wrote {path}" for path in written), f"next: failover --fleet {given.fleet} deploy")))
    return int(Exit.DONE)


@app.command()
def validate(context: typer.Context) -> int:
    """Every problem of the fleet file at once: file, line, column and what to write instead."""
    given = options(context)
    fleet, findings = check_fleet(given.fleet)
    if given.json:
        say_json(ValidateShown(file=str(given.fleet), valid=fleet is not None, findings=findings))
    else:
        try:
            sources = {str(given.fleet): given.fleet.read_text(encoding="utf-8")}
        except (OSError, UnicodeDecodeError):
            sources = {}  # the findings say so themselves
        say(f"{findings_text(findings, sources=sources)}{given.fleet}: {findings_summary(findings)}")
    return int(Exit.DONE if fleet is not None else Exit.USAGE)
