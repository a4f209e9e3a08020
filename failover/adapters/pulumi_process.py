"""One call of ``stacks/run.py``: the request goes through a pipe, answers come back as JSON lines on another.

Nothing secret is in arguments, environment or a file; the child's own words go to a log beside the state.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import msgspec

from failover.errors import (
    Damaged,
    Denied,
    FailoverError,
    Interrupted,
    LeaseHeld,
    OutcomeUnknown,
    Unreachable,
    UsageError,
)
from failover.model.secret import Secret
from failover.ports.provisioner import StackProgress

# After its deadline the child interrupts the engine and waits for a saved state; only then is it killed.
_GRACE_S = 40.0

_ERRORS: dict[str, type[FailoverError]] = {
    "unreachable": Unreachable,
    "timeout": Unreachable,
    "lease-held": LeaseHeld,
    "damaged": Damaged,
    "denied": Denied,
    "usage": UsageError,
    "interrupted": Interrupted,
    "program": FailoverError,
}


class _Line(msgspec.Struct, frozen=True, kw_only=True):
    """The head of any answer line; ``kind`` says what else is in it."""

    kind: str
    code: str = ""
    message: str = ""
    hint: str = ""
    resource: str = ""
    operation: str = ""
    phase: str = ""


class StackProcess:
    """Starts and watches the children of one fleet. Calls for different sites may run in threads beside each other."""

    def __init__(self, *, root: Path, state_dir: Path, program: Path, passphrase: Secret) -> None:
        self._root = root
        self._state_dir = state_dir
        self._program = program
        self._passphrase = passphrase
        self._running: set[subprocess.Popen[bytes]] = set()
        self._guard = threading.Lock()

    def call(
        self,
        operation: str,
        site: str,
        *,
        config: dict[str, str],
        secrets: dict[str, Secret],
        deadline_s: float,
        progress: Callable[[StackProgress], None],
        before_store: bool = False,
    ) -> bytes:
        """The result line. Raises what the port promises; ``OutcomeUnknown`` when the child died without a word."""
        request = msgspec.json.encode(
            {
                "operation": operation,
                "stack": site,
                "root": str(self._root),
                "state_dir": str(self._state_dir),
                "pulumi": str(self._program),
                "passphrase": self._passphrase.reveal(),
                "deadline_s": deadline_s,
                "asker": {"pid": os.getpid(), "start_ticks": _own_start_ticks()},
                "config": config,
                "secrets": {key: secret.reveal() for key, secret in secrets.items()},
                "before_store": before_store,
            }
        )
        end = time.clock_gettime(time.CLOCK_BOOTTIME) + deadline_s + _GRACE_S
        process, answers = self._start(site, operation, request)
        try:
            for raw in _lines(answers, end):
                line = msgspec.json.decode(raw, type=_Line)
                if line.kind == "result":
                    return raw
                if line.kind == "failure":
                    raise _ERRORS[line.code](line.message, where=site, hint=line.hint)
                progress(_progress(site, line))
            self._died(site, operation, process)
        except BaseException:
            # Ctrl-C among them: one signal, and the engine ends with a whole state.
            _ask_to_end(process)
            raise
        finally:
            os.close(answers)
            _reap(process)
            with self._guard:
                self._running.discard(process)

    def interrupt(self) -> None:
        """Ask every child to stop its engine and save."""
        with self._guard:
            for process in self._running:
                _ask_to_end(process)

    def _start(self, site: str, operation: str, request: bytes) -> tuple[subprocess.Popen[bytes], int]:
        logs = self._state_dir / "log"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        answers, report = os.pipe()
        try:
            with (logs / f"{site}-{operation}.log").open("wb") as log:
                process = subprocess.Popen(
                    [sys.executable, "-m", "stacks.run", "--report", str(report)],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    cwd=self._root,
                    env=_environment(self._root),
                    pass_fds=(report,),
                    # The terminal's Ctrl-C must not reach the engine twice: a second one cuts its state short.
                    start_new_session=True,
                )
        finally:
            os.close(report)
        with self._guard:
            self._running.add(process)
        assert process.stdin is not None
        try:
            process.stdin.write(request)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it died at once; the missing answer says so, with the log's place
        return process, answers

    def _died(self, site: str, operation: str, process: subprocess.Popen[bytes]) -> NoReturn:
        _reap(process)
        log = self._state_dir / "log" / f"{site}-{operation}.log"
        raise OutcomeUnknown(
            f"{operation} ended with status {process.returncode} and no answer; see {log}",
            where=site,
            hint="run the command again: it goes on from what was reached",
        )


def _progress(site: str, line: _Line) -> StackProgress:
    return StackProgress(
        site=site, resource=line.resource, operation=line.operation, phase=line.phase or "done", message=line.message
    )


def _lines(descriptor: int, end: float) -> Iterator[bytes]:
    """Whole lines until the writer is gone. Raises ``Unreachable`` when it is silent past the end of all patience."""
    rest = b""
    while True:
        left = end - time.clock_gettime(time.CLOCK_BOOTTIME)
        if left <= 0 or not select.select([descriptor], [], [], left)[0]:
            raise Unreachable("the stack's process does not answer", hint="run the command again")
        data = os.read(descriptor, 65536)
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        yield from whole


def _ask_to_end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(timeout=_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _own_start_ticks() -> int:
    """Told to the child: it must know us from whoever gets our number after our death."""
    return int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])


def _environment(root: Path) -> dict[str, str]:
    paths = [str(root), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}
