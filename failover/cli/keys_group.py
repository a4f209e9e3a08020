"""``keys new``, ``list``, ``rotate``, ``test``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from failover.cli.options import KeyFiles, options
from failover.cli.wiring import wire
from failover.errors import Exit, UsageError
from failover.model.snapshot_shown import KeyShown, KeysShown
from failover.operations.age_keys import SUFFIX, new_key
from failover.operations.keys import list_keys, proven, rotate, try_keys
from failover.render.out import say, say_json
from failover.render.snapshot import keys_text
from failover.trust.age_files import FOLDER

app = typer.Typer(name="keys", help="Who can open snapshots.", no_args_is_help=True, rich_markup_mode=None)
_Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where the private key goes.")]


@app.command()
def new(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="Of the key's file.", show_default=False)] = "verify",
    out: _Out = None,
) -> int:
    """A fresh key pair. Two independent ones are needed: one to verify with, one that lies in a drawer elsewhere."""
    given = options(context)
    if not name.replace("-", "").isalnum():
        raise UsageError(f"{name} is no name for a key", hint="letters, digits and dashes: failover keys new drawer")
    # Without the fleet file: its first recipients come from here.
    path = out or given.fleet.absolute().parent / FOLDER / f"{name}{SUFFIX}"
    key = new_key(path)
    shown = KeysShown(
        keys=(KeyShown(recipient=key.public, declared=False, file=str(path)),),
        summary="write it below snapshots: recipients: in the fleet file, and keep the private key off every site",
        written=(str(path),),
    )
    return _show(context, shown)


@app.command(name="list")
def list_all(context: typer.Context, key: KeyFiles = None) -> int:
    """Every recipient of the fleet file and of the snapshots, and whose private key is on this machine."""
    wired = wire(options(context))
    try:
        return _show(context, list_keys(wired, key or ()))
    finally:
        wired.close()


@app.command(name="rotate")
def rotate_one(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="RECIPIENT", help="The one that shall open nothing new.")],
    out: _Out = None,
) -> int:
    """A new key in place of a recipient of the fleet file. Earlier snapshots still need the old key."""
    wired = wire(options(context))
    try:
        shown = rotate(wired, old, out)
    finally:
        wired.close()
    return _show(context, shown)


@app.command(name="test")
def try_all(context: typer.Context, key: KeyFiles = None) -> int:
    """Open every snapshot with each key at hand alone. Exit status 4 when a recipient's key was not tried."""
    wired = wire(options(context))
    try:
        shown = try_keys(wired, key or ())
    finally:
        wired.close()
    _show(context, shown)
    return int(Exit.DONE if proven(shown) else Exit.OBJECTIVE_MISSED)


def _show(context: typer.Context, shown: KeysShown) -> int:
    if options(context).json:
        say_json(shown)
    else:
        say(keys_text(shown))
    return int(Exit.DONE)
