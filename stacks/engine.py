"""One run of the Pulumi command line that survives its driver: stdin null, output to files, a session of its own.

The stock way (pipes to the driver) kills the command line at its next line when the driver dies, and leaves a lock,
a pending create and an orphaned plug-in behind. This one finishes, saves and unlocks by itself.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.failures import StackFailure
from stacks.request import Layout

SILENCE_S = 60.0
_GRACE_S = {signal.SIGINT: 20.0, signal.SIGTERM: 5.0, signal.SIGKILL: 5.0}
_TICK_S = 0.02
_FORGOTTEN = ("PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE", "PULUMI_BACKEND_URL", "PULUMI_STACK")

stop_asked: list[int] = []


def now() -> float:
    """The clock of every deadline here: it goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one run ended. ``stopped`` says why we stopped it: "", "interrupted", "timeout" or "silent"."""

    status: int
    stopped: str
    output: Path


class CommandLine:
    """The Pulumi program with one fleet's home, keys and state. The passphrase is in memory only: an unnamed file."""

    def __init__(self, program: str, layout: Layout, passphrase: str) -> None:
        self._program = program
        self._layout = layout
        self._passphrase = os.memfd_create("passphrase", 0)
        os.write(self._passphrase, passphrase.encode())

    def run(
        self,
        arguments: list[str],
        *,
        name: str,
        end: float,
        on_event: Callable[[dict[str, Any]], None] | None = None,
    ) -> Ended:
        """Run to the end, or to ``end``; hands on every engine event. Raises nothing for a status that is not 0."""
        files = {kind: self._layout.run / f"{name}.{kind}" for kind in ("out", "err", "events")}
        for path in files.values():
            path.unlink(missing_ok=True)
        more = ["--event-log", str(files["events"])] if on_event else []
        with files["out"].open("wb") as out, files["err"].open("wb") as err:
            process = subprocess.Popen(
                [self._program, "--non-interactive", "--color", "never", *arguments, *more],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self._layout.project,
                env=self._environment(),
                pass_fds=(self._passphrase,),
                start_new_session=True,
            )
        stopped = self._watch(process, files["events"], end, on_event or (lambda _event: None))
        return Ended(status=process.wait(), stopped=stopped, output=files["err"])

    def _watch(
        self, process: subprocess.Popen[bytes], events: Path, end: float, on_event: Callable[[dict[str, Any]], None]
    ) -> str:
        tail, heard, stopped, next_signal = _Tail(events), now(), "", 0.0
        signals = list(_GRACE_S)
        while True:
            ended = process.poll() is not None
            for event in tail.read():
                heard = now()
                on_event(event)
            if ended:
                return stopped
            if not stopped:
                stopped = _reason_to_stop(end, heard)
            if stopped and signals and now() >= next_signal:
                # One interrupt and patience: the engine then saves a whole state. A second one cuts it short.
                number = signals.pop(0)
                next_signal = now() + _GRACE_S[number]
                process.send_signal(number)
            time.sleep(_TICK_S)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in _FORGOTTEN}
        mark, _, value = self._layout.mark.partition("=")
        return kept | {
            mark: value,
            "FAILOVER_PYTHON": sys.executable,
            "PULUMI_HOME": str(self._layout.home),
            "PULUMI_CONFIG_PASSPHRASE_FILE": f"/proc/self/fd/{self._passphrase}",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_IGNORE_AMBIENT_PLUGINS": "true",
            "PULUMI_DEBUG_COMMANDS": "true",
            "PULUMI_AUTOMATION_API": "true",
            # An S3 login without credentials asks a metadata address that is not there on most machines.
            "AWS_EC2_METADATA_DISABLED": "true",
        }


def _reason_to_stop(end: float, heard: float) -> str:
    if stop_asked:
        return "interrupted"
    if now() >= end:
        return "timeout"
    return "silent" if now() - heard >= SILENCE_S else ""


class _Tail:
    """Whole lines of a file that another process appends to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[dict[str, Any]]:
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


def check(ended: Ended, what: str) -> None:
    """Raise for a plain command (no engine events) that did not end with 0; its own words are in the message."""
    if ended.stopped:
        if ended.stopped == "interrupted":
            raise StackFailure("interrupted", f"{what} was interrupted", "run the command again")
        raise StackFailure("timeout", f"{what} did not end in time ({ended.stopped})", "run the command again")
    if ended.status != 0:
        said = ended.output.read_text(errors="replace").strip().splitlines()
        raise StackFailure("unreachable", f"{what} failed: {said[-1] if said else f'status {ended.status}'}")
