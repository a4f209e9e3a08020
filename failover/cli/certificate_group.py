"""``certificate list`` and ``certificate show``: what a former primary had written that nobody else has."""

from __future__ import annotations

from typing import Annotated

import typer

from failover.cli.options import options
from failover.cli.wiring import wire
from failover.errors import Exit
from failover.operations.certificates import fetch, one_of
from failover.render.certificate import certificate_text, certificates_text
from failover.render.json import CertificatesShown
from failover.render.out import say, say_json

app = typer.Typer(
    name="certificate", help="Lost-write certificates.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip


@app.command(name="list")
def list_certificates(context: typer.Context) -> int:
    """Fetch them from every site that answers and list all that are known here, oldest first."""
    given = options(context)
    wired = wire(given)
    try:
        found = fetch(wired)
    finally:
        wired.close()
    if given.json:
        say_json(CertificatesShown(certificates=found.certificates, failed=found.failed))
    else:
        say(certificates_text(found.certificates, found.failed))
    return int(Exit.DONE)


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ID", help="As certificate list shows it.")],
) -> int:
    """One certificate: what was counted, and where the WAL is kept."""
    given = options(context)
    wired = wire(given)
    try:
        one = one_of(fetch(wired), name)
    finally:
        wired.close()
    if given.json:
        say_json(one)
    else:
        say(certificate_text(one))
    return int(Exit.DONE)
