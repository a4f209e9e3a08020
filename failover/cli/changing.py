"""What every changing command does with its words: show the plan, or carry it out and show the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from failover.cli.answers import FORMATS, approval, show_answer, show_proposal
from failover.cli.options import Options, one_of
from failover.cli.wiring import wire
from failover.engine.interrupt import Interrupt
from failover.operations.carry_out import Answer, carry_out, propose
from failover.operations.verbs import Wish
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.render.progress import progress

T = TypeVar("T")
Show = Callable[[Wired, Answer], int]


def change(
    options: Options, wish: Wish, *, dry_run: bool, style: str, digest: str, yes: bool, show: Show | None = None
) -> int:
    """One changing command, whole. ``show``: how its end is told, instead of as a report. Returns its exit status."""
    one_of(style, FORMATS, "--format")
    how = approval(options, digest=digest, yes=yes)
    wired = wire(options)
    try:
        if dry_run:
            return show_proposal(propose(wired, wish), "json" if options.json else style)
        answer: Answer = watched(
            options, lambda watch, interrupt: carry_out(wired, wish, approval=how, watch=watch, interrupt=interrupt)
        )
        return show_answer(answer, options) if show is None else show(wired, answer)
    finally:
        wired.close()


def watched(options: Options, work: Callable[[Watch, Interrupt], T]) -> T:
    """``work`` with progress on stderr, and Ctrl-C as a wish that the run follows where it is safe."""
    interrupt = Interrupt()
    with interrupt.on_signals(), progress(json=options.json, colour=options.colour) as show:
        return work(Watch(show), interrupt)
