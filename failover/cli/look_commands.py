"""``status`` and ``check``: they read, and never write."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from failover.cli.options import Options, one_of, options
from failover.cli.wiring import wire
from failover.errors import Exit, UsageError
from failover.model.status import Verdict
from failover.operations import inspect
from failover.operations.proven import proven_age_s
from failover.operations.wired import Wired
from failover.planner.check import judge
from failover.render.json import check_shown
from failover.render.nagios import nagios_text, prometheus_text
from failover.render.out import say, say_json
from failover.render.progress import watched
from failover.render.text import status_text

app = typer.Typer(name="looks", rich_markup_mode=None)
_WATCH_S = 1.0


@app.command()
def status(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Look again each second until Ctrl-C.")] = False,
) -> int:
    """Sites, roles, lag, exposure, gates, the record; what is not known is shown as unknown."""
    given = options(context)
    wired = wire(given)
    try:
        if watch:
            return _watch(wired, given)
        verdict = _quick(wired)
    finally:
        wired.close()
    if given.json:
        say_json(verdict.view)
    else:
        say(status_text(verdict.view))
    return int(Exit.DONE)


@app.command()
def check(
    context: typer.Context,
    site: Annotated[str, typer.Argument(metavar="[SITE]", help="Only this site.", show_default=False)] = "",
    style: Annotated[str, typer.Option("--format", metavar="nagios|json|prometheus")] = "nagios",
) -> int:
    """One Nagios line. Exit status 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN."""
    given = options(context)
    one_of(style, ("nagios", "json", "prometheus"), "--format")
    wired = wire(given)
    try:
        if site and site not in {one.name for one in wired.fleet.sites}:
            names = ", ".join(one.name for one in wired.fleet.sites)
            raise UsageError(f"there is no site {site}", hint=f"sites: {names}")
        seen = inspect.look(wired)
        verdict = judge(
            wired.fleet,
            seen,
            specs=inspect.wanted_specs(wired),
            names=inspect.names(wired, seen),
            stores=inspect.stores(wired, seen),
            proven_age_s=proven_age_s(wired),
            site=site,
        )
    finally:
        wired.close()
    _show_check(verdict, "json" if given.json else style)
    return int(verdict.level)


def _show_check(verdict: Verdict, style: str) -> None:
    if style == "json":
        say_json(check_shown(verdict))
    else:
        say(prometheus_text(verdict) if style == "prometheus" else nagios_text(verdict))


def _quick(wired: Wired) -> Verdict:
    """What one glance tells: agents, the record, which stores answer."""
    seen = inspect.look(wired)
    return judge(wired.fleet, seen, stores=inspect.stores(wired, seen), proven_age_s=proven_age_s(wired))


def _watch(wired: Wired, given: Options) -> int:
    with watched(colour=given.colour and not given.json) as show:
        while True:
            verdict = _quick(wired)
            if given.json:
                say_json(verdict.view)
            else:
                show(status_text(verdict.view))
            time.sleep(_WATCH_S)
