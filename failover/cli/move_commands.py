"""``switchover``, ``promote``, ``rejoin``, ``failback``."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.changing import change
from failover.cli.options import Approve, DryRun, Format, Yes, duration, options
from failover.operations.verbs import FailbackWish, PromoteWish, RejoinWish, SwitchoverWish

app = typer.Typer(name="moves", rich_markup_mode=None)


@app.command()
def switchover(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="SITE", help="The site that should be primary.")],
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """Planned move of the primary: no acknowledged write is lost, requests wait instead of failing."""
    wish = SwitchoverWish(to)
    return change(options(context), wish, dry_run=dry_run, style=style, digest=approve, yes=yes)


@app.command()
def promote(
    context: typer.Context,
    site: Annotated[str, typer.Argument(metavar="SITE", help="The site that should take over.")],
    accept_loss: Annotated[
        str, typer.Option("--accept-loss", metavar="DURATION", help="Exposure you accept to lose, e.g. 42m.")
    ] = "",
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """The primary is lost: ask SITE's keeper to take over. Refused while the primary answers."""
    loss_s = duration(accept_loss, "--accept-loss").total_seconds() if accept_loss else 0.0
    wish = PromoteWish(site, accept_loss_s=loss_s)
    return change(options(context), wish, dry_run=dry_run, style=style, digest=approve, yes=yes)


@app.command()
def rejoin(
    context: typer.Context,
    site: Annotated[str, typer.Argument(metavar="SITE", help="Whose quarantined copy may be rewound.")],
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """Release a former primary that acknowledged alone: what only it has is kept, then it becomes a standby."""
    return change(options(context), RejoinWish(site), dry_run=dry_run, style=style, digest=approve, yes=yes)


@app.command()
def failback(
    context: typer.Context,
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """Planned return to the preferred site."""
    return change(options(context), FailbackWish(), dry_run=dry_run, style=style, digest=approve, yes=yes)
