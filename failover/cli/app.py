"""The command line: global options, which module holds which command, and how an end becomes an exit status.

Command modules are imported when their command is called, so that ``--help`` costs nothing. What must never be here:
what a command does.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from failover.cli.failing import interrupted, show_bug, show_error, show_usage
from failover.cli.options import FLEET_FILE, Options
from failover.errors import Exit, FailoverError

# name -> (module below failover.cli, line of help; "" hides it)
COMMANDS = {
    "init": ("config_commands", "Write a commented fleet file and the fleet's trust material."),
    "validate": ("config_commands", "Every problem of the fleet file; touches no network."),
    "preview": ("stack_commands", "What deploy would change at each provider."),
    "deploy": ("stack_commands", "Make the world as the fleet file declares it."),
    "destroy": ("stack_commands", "Remove sites, or the whole fleet with its state."),
    "status": ("look_commands", "Sites, roles, lag, exposure, gates; ages, never a stale green."),
    "check": ("look_commands", "One Nagios line and status."),
    "switchover": ("move_commands", "Planned move of the primary; no loss."),
    "promote": ("move_commands", "The primary is lost: let another site take over."),
    "rejoin": ("move_commands", "Release the copy of a former primary that acknowledged alone."),
    "failback": ("move_commands", "Planned return to the preferred site."),
    "snapshot": ("snapshot_group", "The data at two providers: create, list, verify, restore, prune."),
    "keys": ("keys_group", "Who can open snapshots: new, list, rotate, test."),
    "drill": ("drill_commands", "Rehearse with load, fault and a measured report."),
    "resume": ("journal_commands", "Go on with a run that stopped."),
    "journal": ("journal_group", "What was done: list, show."),
    "media": ("media_group", "The app's media in the stores: status, sync, verify."),
    "certificate": ("certificate_group", "What a former primary wrote that nobody else has: list, show."),
    "record": ("record_group", "The fleet's record: show."),
    "schedule": ("schedule_group", "Run check, and snapshots, again and again: install, list, remove."),
    "agent": ("agent_command", ""),
}
_WITH_VALUE = ("--fleet",)
_FLAGS = ("--json", "--no-colour", "--no-color", "-v", "--verbose")


class LateGroup(TyperGroup):
    """Finds a command's module only when the command is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, or ``None`` when there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"failover.cli.{COMMANDS[cmd_name][0]}")
        group: Any = typer.main.get_group(module.app)
        return group if cmd_name == group.name else group.commands[cmd_name]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The table, without importing a single one of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items() if text])

    def invoke(self, ctx: Any) -> Any:
        """As usual; Ctrl-C outside a run says what to do next."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise interrupted() from None


app = typer.Typer(
    cls=LateGroup,
    name="failover",
    help="Keeps one app alive across several providers, each of which can switch us off.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)


@app.callback()
def start(
    context: typer.Context,
    fleet: Annotated[Path, typer.Option(envvar="FAILOVER_FLEET", help="The fleet file.")] = FLEET_FILE,
    json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout; errors as JSON.")] = False,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="More of what goes on.")] = False,
    no_colour: Annotated[bool, typer.Option("--no-colour", "--no-color", help="Plain text, no live display.")] = False,
) -> None:
    """Keep the global options for the command."""
    colour = not no_colour and "NO_COLOR" not in os.environ
    context.obj = Options(fleet=fleet, json=json, verbose=verbose, colour=colour)


def hoisted(words: Sequence[str]) -> list[str]:
    """Global options first, wherever they were written: people type ``failover status --json``."""
    first: list[str] = []
    rest: list[str] = []
    given = iter(words)
    for word in given:
        if word == "--":
            rest += [word, *given]
        elif word in _FLAGS or word.startswith(tuple(f"{option}=" for option in _WITH_VALUE)):
            first.append(word)
        elif word in _WITH_VALUE:
            first += [word, *(value for value in [next(given, None)] if value is not None)]
        else:
            rest.append(word)
    return first + rest


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit status and never raises."""
    words = hoisted(sys.argv[1:] if argv is None else argv)
    json = "--json" in words
    try:
        status = app(args=words, prog_name="failover", standalone_mode=False)
    except FailoverError as error:
        return _nagios(words, show_error(error, json=json))
    except BrokenPipeError:
        # The reader of our output went away; a second error at exit would only hide that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(Exit.DONE)
    except KeyboardInterrupt:
        return show_error(interrupted(), json=json)
    except Exception as error:  # noqa: BLE001 - the last place: anything that is not ours is a bug, and is said to be one
        told = show_usage(error, json=json)
        return _nagios(words, told if told is not None else show_bug(error, json=json))
    return int(status) if isinstance(status, int) else int(Exit.DONE)


def _nagios(words: Sequence[str], status: int) -> int:
    """A monitor must not read a broken check as WARNING: ``check`` that could not check is UNKNOWN (3)."""
    command = next((word for word in words if word in COMMANDS), "")
    return 3 if command == "check" else status
