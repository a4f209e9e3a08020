"""Progress on stderr while work goes on: plain lines, JSON lines, or on a terminal a live table (rich, loaded late)."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from failover.model.run_report import Progress
from failover.model.units import format_bytes, format_duration
from failover.render.out import tell, tell_json

if TYPE_CHECKING:
    from rich.console import Console

Show = Callable[[Progress], None]


def line(told: Progress) -> str:
    """One line: ``alpha: PostgreSQL at alpha is primary: done in 40 ms, alpha is primary``."""
    if told.kind == "transfer":
        return _transfer(told)
    site = f"{told.site}: " if told.site and told.site not in told.title else ""
    undo = "undo of " if told.undoing else ""
    phase = f": {told.phase}" if told.phase else ""
    took = f" in {format_duration(told.seconds_s)}" if told.seconds_s is not None else ""
    detail = f", {told.detail}" if told.detail else ""
    return f"{site}{undo}{told.title}{phase}{took}{detail}"


def _transfer(told: Progress) -> str:
    """``take: 312 MB of 1.4 GB, 190 MB/s, 5.8 s left``."""
    done = told.done_bytes or 0
    total = f" of {format_bytes(told.total_bytes)}" if told.total_bytes is not None and told.phase != "done" else ""
    left = f", {format_duration(told.left_s)} left" if told.left_s is not None and told.phase != "done" else ""
    return f"{told.title}: {format_bytes(done)}{total}, {format_bytes(told.rate_bytes_s or 0)}/s{left}"


@contextmanager
def progress(*, json: bool, colour: bool) -> Iterator[Show]:
    """What to call with each line; safe from any thread. On a terminal what runs now is shown below the lines."""
    lock = threading.Lock()
    if json:
        show: Show = tell_json
    elif colour and sys.stderr.isatty():
        with _live(lock) as shown:
            yield shown
        return
    else:
        show = _plain

    def guarded(told: Progress) -> None:
        with lock:
            show(told)

    yield guarded


def _plain(told: Progress) -> None:
    tell(line(told))


@contextmanager
def _live(lock: threading.Lock) -> Iterator[Show]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console: Console = Console(stderr=True, highlight=False)
    running: dict[str, str] = {}
    with Live(console=console, refresh_per_second=8, transient=True) as live:

        def show(told: Progress) -> None:
            with lock:
                key = told.step or told.title
                if told.phase == "started":
                    running[key] = line(told)
                else:
                    running.pop(key, None)
                    style = {"failed": "red", "unknown": "yellow", "not tried": "yellow"}.get(told.phase, "")
                    console.print(Text(line(told), style=style))
                live.update(Text("\n".join(f"… {one}" for one in running.values()), style="dim"))

        yield show


@contextmanager
def watched(*, colour: bool) -> Iterator[Callable[[str], None]]:
    """For ``status --watch``: each text replaces the one before on a terminal, and follows it elsewhere."""
    if not (colour and sys.stdout.isatty()):
        yield lambda text: print(text, flush=True)
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), refresh_per_second=4, screen=False) as live:
        yield lambda text: live.update(Text(text))
