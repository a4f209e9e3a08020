"""``snapshot create``, ``list``, ``verify``, ``restore``, ``prune``."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from failover.cli.answers import show_answer
from failover.cli.changing import change, watched
from failover.cli.options import Approve, DryRun, Format, KeyFiles, Options, Yes, options
from failover.cli.wiring import wire
from failover.errors import Exit, UsageError
from failover.model.run_report import RunReport
from failover.model.units import parse_lsn
from failover.operations.carry_out import Answer
from failover.operations.snapshot_restore import RestoreAsk, restore_snapshot
from failover.operations.snapshot_shown import list_snapshots, of_run
from failover.operations.snapshot_verify import verify_snapshot
from failover.operations.snapshot_wishes import CreateWish, PruneWish
from failover.operations.wired import Wired
from failover.render.out import say, say_json
from failover.render.snapshot import restored_text, snapshot_text, snapshots_text

app = typer.Typer(
    name="snapshot", help="The data at two providers, proven by restoring it.", no_args_is_help=True,
    rich_markup_mode=None,
)  # fmt: skip
_Id = Annotated[str, typer.Argument(metavar="[ID]", help="As snapshot list shows it.", show_default=False)]


@app.command()
def create(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Not on top of an earlier one.")] = False,
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """Take a snapshot: full or incremental as it fits, from the standby when it can, to every store."""
    given = options(context)

    def show(wired: Wired, answer: Answer) -> int:
        if not isinstance(answer, RunReport):
            return show_answer(answer, given)
        taken = of_run(wired, answer.run)
        if given.json:
            say_json(taken)
        else:
            show_answer(answer, given)
            say(snapshot_text(taken))
        return int(Exit.OBJECTIVE_MISSED if answer.missed else Exit.DONE)

    return change(
        given, CreateWish(full=full), dry_run=dry_run, style=style, digest=approve, yes=yes, show=show
    )


@app.command(name="list")
def list_all(context: typer.Context) -> int:
    """Every snapshot the stores hold, oldest first, with what is damaged and which store does not answer."""
    given = options(context)
    wired = wire(given)
    try:
        found = list_snapshots(wired)
    finally:
        wired.close()
    if given.json:
        say_json(found)
    else:
        say(snapshots_text(found))
    return int(Exit.DAMAGED if found.damaged else Exit.UNREACHABLE if found.unreachable else Exit.DONE)


@app.command()
def verify(
    context: typer.Context,
    snapshot: _Id = "",
    at: Annotated[
        str, typer.Option("--at", metavar="SITE", help="Read only from this site's provider; else where it is due.")
    ] = "",
    key: KeyFiles = None,
) -> int:
    """Restore a snapshot on this machine from one provider's store and look at all of it; the proof is signed."""
    given = options(context)
    wired = wire(given)
    try:
        found = watched(given, lambda watch, _: verify_snapshot(wired, snapshot, at, key or (), watch))
    finally:
        wired.close()
    if given.json:
        say_json(found)
    else:
        say(snapshot_text(found))
    return int(Exit.DONE)


@app.command()
def restore(
    context: typer.Context,
    snapshot: _Id = "",
    to_time: Annotated[
        str, typer.Option("--to-time", metavar="TIME", help="Just before what ended later: 2026-11-26T14:02:00Z.")
    ] = "",
    to_lsn: Annotated[str, typer.Option("--to-lsn", metavar="LSN", help="Just before the record there.")] = "",
    latest: Annotated[bool, typer.Option("--latest", help="As far as WAL was shipped.")] = False,
    at: Annotated[
        str, typer.Option("--at", metavar="SITE", help="From this site's provider first, into its place here.")
    ] = "",
    into: Annotated[Path | None, typer.Option("--into", metavar="DIR", help="Into this empty folder.")] = None,
    key: KeyFiles = None,
) -> int:
    """A data directory from a snapshot and shipped WAL. Never over anything; goes on after it was killed."""
    given = options(context)
    ask = _ask(snapshot, to_time=to_time, to_lsn=to_lsn, latest=latest, at=at, into=into)
    wired = wire(given)
    try:
        done = watched(given, lambda watch, _: restore_snapshot(wired, ask, key or (), watch))
    finally:
        wired.close()
    if given.json:
        say_json(done)
    else:
        say(restored_text(done))
    return int(Exit.DONE)


@app.command()
def prune(
    context: typer.Context,
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """Remove what the fleet file's rules do not keep; each one that stays says why."""
    given: Options = options(context)
    return change(given, PruneWish(), dry_run=dry_run, style=style, digest=approve, yes=yes)


def _ask(snapshot: str, *, to_time: str, to_lsn: str, latest: bool, at: str, into: Path | None) -> RestoreAsk:
    """What the words mean. Raises ``UsageError``."""
    targets = [name for name, given in (("--to-time", to_time), ("--to-lsn", to_lsn), ("--latest", latest)) if given]
    if len(targets) > 1:
        raise UsageError(f"{' and '.join(targets)} say different things", hint=f"keep {targets[0]}")
    if not at and into is None:
        raise UsageError("it is not said where to", hint="--into DIR, or --at SITE")
    try:
        lsn = parse_lsn(to_lsn) if to_lsn else None
    except ValueError as error:
        raise UsageError(f"--to-lsn: {error}", hint="--to-lsn 0/3000148") from error
    return RestoreAsk(
        snapshot=snapshot, to_lsn=lsn, to_time=_moment(to_time) if to_time else None, latest=latest, into=into, site=at
    )


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"--to-time: not a time: {text!r}", hint="--to-time 2026-11-26T14:02:00Z") from error
    if found.tzinfo is None:
        raise UsageError(f"--to-time: {text} does not say in which zone", hint=f"--to-time {text}Z for UTC")
    return found.astimezone(UTC)
