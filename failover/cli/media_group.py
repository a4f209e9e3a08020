"""``media status``, ``sync`` and ``verify``: the app's media in every store, against each other and the app's index."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.options import Options, options
from failover.cli.wiring import wire
from failover.errors import Exit, UsageError
from failover.model.media import MediaReport
from failover.operations.media_pass import Verb
from failover.operations.media_work import media
from failover.render.media import media_text
from failover.render.out import say, say_json

app = typer.Typer(
    name="media", help="The app's media in the stores.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip


@app.command()
def status(context: typer.Context) -> int:
    """Compare the listings of all stores with each other and with what the app refers to. Writes nothing to a store.

    What no store that answers has is written down here, one object a line, and sealed.
    """
    return _run(options(context), "status")


@app.command()
def sync(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what would be copied: media status.")] = False,
) -> int:
    """Copy what a store lacks from one that has it. Removes nothing; may be cut off and begun again anywhere."""
    return _run(options(context), "status" if dry_run else "sync")


@app.command()
def verify(
    context: typer.Context,
    one_in: Annotated[int, typer.Option("--one-in", metavar="N", help="Read one object in N, drawn at random.")] = 1,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of the draw.")] = 0,
) -> int:
    """Read objects from every store and compare their sha256. Writes nothing to a store."""
    if one_in < 1:
        raise UsageError(f"--one-in {one_in}: at least 1", hint="--one-in 100 reads one in a hundred")
    return _run(options(context), "verify", one_in=one_in, seed=seed)


def _run(given: Options, verb: Verb, *, one_in: int = 1, seed: int = 0) -> int:
    wired = wire(given)
    try:
        report = media(wired, verb, one_in=one_in, seed=seed)
    finally:
        wired.close()
    if given.json:
        say_json(report)
    else:
        say(media_text(report))
    return int(status_of(report))


def status_of(report: MediaReport) -> Exit:
    """9: an object without a good copy, or with a bad one, though every store answers. 4: a store is silent, or lacks
    something that was not copied."""
    found = set(report.trouble_counts)
    silent = any(one.error for one in report.stores)
    if found & {"damaged", "differs"} or ("lost" in found and not silent):
        return Exit.DAMAGED
    lacks = any(one.missing > one.copied for one in report.stores)
    return Exit.OBJECTIVE_MISSED if silent or lacks or found else Exit.DONE
