"""``agent``: the host process; not for people."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from failover.agent.main import main
from failover.errors import Exit

app = typer.Typer(name="agents", rich_markup_mode=None)


@app.command()
def agent(host_dir: Annotated[str, typer.Option("--host-dir", metavar="DIR", help="The host's folder.")]) -> int:
    """Run this host's agent until it is told to stop."""
    sys.argv = ["failover agent", "--host-dir", host_dir]
    main()
    return int(Exit.DONE)


@app.callback()
def group() -> None:
    """Typer makes a lone command the whole application; this keeps it a group."""
