"""``preview``, ``deploy``, ``destroy``."""

from __future__ import annotations

import typer

from failover.cli.answers import FORMATS, approval, show_answer, show_proposal
from failover.cli.changing import change, watched
from failover.cli.options import Approve, DryRun, Format, Options, Sites, Yes, one_of, options
from failover.cli.wiring import wire
from failover.errors import Exit, UsageError
from failover.model.run_report import RunReport
from failover.operations.carry_out import carry_out, empty_state_folder, propose, whole_fleet
from failover.operations.init import make_trust
from failover.operations.preview import preview as preview_sites
from failover.operations.verbs import DeployWish, DestroyWish
from failover.operations.wired import Wired
from failover.render.out import say, say_json
from failover.render.text import previews_text
from failover.trust.store_keys import create_store_keys

app = typer.Typer(name="stacks", rich_markup_mode=None)


@app.command()
def preview(context: typer.Context, sites: Sites = None) -> int:
    """What deploy would change at each provider, after looking at what is really there."""
    given = options(context)
    wired = wire(given)
    try:
        _known(wired, sites)
        shown = preview_sites(wired, tuple(sites or ()))
    finally:
        wired.close()
    if given.json:
        say_json(shown)
    else:
        say(previews_text(shown))
    return int(Exit.UNREACHABLE if shown.failed else Exit.DONE)


@app.command()
def deploy(
    context: typer.Context,
    sites: Sites = None,
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """Make the world as the fleet file declares it, all sites side by side, and wait until it holds."""
    given = options(context)
    _trust(given, dry_run=dry_run)
    wish = DeployWish(tuple(sites or ()))
    return change(given, wish, dry_run=dry_run, style=style, digest=approve, yes=yes)


@app.command()
def destroy(
    context: typer.Context,
    sites: Sites = None,
    dry_run: DryRun = False,
    style: Format = "text",
    approve: Approve = "",
    yes: Yes = False,
) -> int:
    """Remove sites, or (none named) the whole fleet with its state folder. The data is gone afterwards."""
    given = options(context)
    one_of(style, FORMATS, "--format")
    how = approval(given, digest=approve, yes=yes)
    wired = wire(given)
    wish = DestroyWish(tuple(sites or ()))
    try:
        if dry_run:
            return show_proposal(propose(wired, wish), "json" if given.json else style)
        answer = watched(
            given, lambda watch, interrupt: carry_out(wired, wish, approval=how, watch=watch, interrupt=interrupt)
        )
    finally:
        wired.close()
    if isinstance(answer, RunReport) and not answer.missed and whole_fleet(wired, wish):
        empty_state_folder(wired)
    return show_answer(answer, given)


def _known(wired: Wired, sites: list[str] | None) -> None:
    names = tuple(site.name for site in wired.fleet.sites)
    for name in sites or ():
        if name not in names:
            raise UsageError(f"there is no site {name}", hint=f"sites: {', '.join(names)}")


def _trust(given: Options, *, dry_run: bool) -> None:
    """A local fleet whose state folder was emptied by ``destroy`` gets new trust material; nothing is replaced."""
    wired = wire(given)
    folder = wired.state_dir / "trust"
    if folder.exists():
        # Also for a dry run: the digest that is approved covers the key that a site's store will have.
        create_store_keys(folder, wired.fleet.stores)
    elif not dry_run and all(site.kind == "local" for site in wired.fleet.sites):
        make_trust(wired.fleet, folder)
