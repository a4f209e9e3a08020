"""Options that more than one command has, and what the words of a command line mean. No behaviour."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from failover.errors import UsageError

FLEET_FILE = Path("stacks/fleet.yaml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The global options."""

    fleet: Path
    json: bool
    verbose: bool
    colour: bool

    @property
    def may_ask(self) -> bool:
        """A person is there to answer."""
        return not self.json and sys.stdin.isatty() and sys.stderr.isatty()


def options(context: typer.Context) -> Options:
    """The global options of this call."""
    found = context.find_object(Options)
    if found is None:
        raise UsageError("no global options: the command was not started by the command line")
    return found


DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and its digest; change nothing.")]
Approve = Annotated[str, typer.Option("--approve", metavar="DIGEST", help="Carry out exactly this plan.")]
Yes = Annotated[bool, typer.Option("--yes", help="Carry it out without asking.")]
Format = Annotated[str, typer.Option("--format", metavar="text|markdown|json", help="How --dry-run shows the plan.")]
Sites = Annotated[list[str] | None, typer.Argument(metavar="[SITE]...", help="Only these sites.", show_default=False)]

KeyFiles = Annotated[
    list[Path] | None,
    typer.Option("--key", metavar="FILE", help="A private age key, beside those on this machine.", show_default=False),
]


def one_of(word: str, allowed: tuple[str, ...], option: str) -> str:
    """``word`` if it is allowed. Raises ``UsageError`` naming what is."""
    if word not in allowed:
        raise UsageError(f"{option} {word}: not one of {', '.join(allowed)}", hint=f"{option} {allowed[0]}")
    return word


def duration(text: str, option: str) -> timedelta:
    """``42m`` as a duration. Raises ``UsageError`` for anything without a unit."""
    from failover.model.units import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}", hint=f"{option} 42m") from error
