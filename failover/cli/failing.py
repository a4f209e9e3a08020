"""How a command that failed says so: known errors short and with a hint, anything else as a bug with its traceback."""

from __future__ import annotations

import traceback

import typer

from failover.errors import Exit, FailoverError, Interrupted, UsageError


def show_error(error: FailoverError, *, json: bool) -> int:
    """Print it; returns its exit status."""
    from failover.render.json import error_shown
    from failover.render.out import tell, tell_json
    from failover.render.text import error_text

    notes = "".join(f"    {note}\n" for note in getattr(error, "__notes__", ()))
    findings = getattr(error, "findings", ())
    if findings:
        from failover.render.findings import findings_text

        tell(findings_text(findings))
    if json:
        tell_json(error_shown(error))
    else:
        tell(error_text(error) + notes)
    return int(error.exit_status)


def show_usage(error: Exception, *, json: bool) -> int | None:
    """The command line's own complaint, or ``None`` when ``error`` is none."""
    # Typer carries its own copy of click: its complaints are told by the class typer itself offers.
    kinds = tuple(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
    if isinstance(error, typer.Abort):
        return show_error(interrupted(), json=json)
    if not isinstance(error, kinds):
        return None
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "failover"
    if type(error).__name__ == "NoArgsIsHelpError":
        from failover.render.out import tell

        tell(message)
        return int(Exit.USAGE)
    return show_error(UsageError(message, hint=f"{path} --help"), json=json)


def show_bug(error: Exception, *, json: bool) -> int:
    """The traceback, and the wish to hear of it."""
    from failover.render.json import ErrorShown
    from failover.render.out import tell, tell_json

    tell("".join(traceback.format_exception(error)))
    message = f"a bug in failover: {type(error).__name__}: {error}"
    hint = "please report it with the lines above; failover journal list shows whether a run was stopped"
    if json:
        tell_json(ErrorShown(code="bug", exit=int(Exit.BUG), message=message, hint=hint, where=""))
    else:
        tell(f"{message}\n    {hint}")
    return int(Exit.BUG)


def interrupted() -> Interrupted:
    """Ctrl-C outside a run: nothing was begun, or nothing is known to be left over."""
    return Interrupted("interrupted", hint="failover journal list shows whether a run was stopped; failover resume RUN")
