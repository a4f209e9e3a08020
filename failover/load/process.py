"""Starts, watches and stops the generator's process from the drill.

Must never be here: what is measured, where the ledger is judged.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType

import msgspec

from failover.errors import Damaged, FailoverError, Unreachable
from failover.load.request import Failed, Finished, Line, LoadRequest, Progress, Ready

_ROOT = str(Path(__file__).parents[2])
_decoder: msgspec.json.Decoder[Line] = msgspec.json.Decoder(Line)


class LoadProcess:
    """A running generator. Leaving the ``with`` block ends it whatever happened; its own death is noticed by every
    call. Its stdin is a pipe from here: if this process dies, however it dies, the generator stops by itself."""

    def __init__(self, request: LoadRequest, *, folder: Path) -> None:
        """Start it. ``folder`` takes the request file and the generator's stderr (``load.json``, ``load.log``)."""
        file = folder / "load.json"
        paths = os.pathsep.join([_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])])
        file.write_bytes(msgspec.json.format(msgspec.json.encode(request), indent=2))
        self._log = folder / "load.log"
        self._budget_s = request.budget_s
        self._ready: Ready | None = None
        self._progress: Progress | None = None
        self._finished: Finished | None = None
        self._failed: Failed | None = None
        self._ended = False
        self._changed = threading.Condition()
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "failover.load.main", "--request", str(file)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
                env={**os.environ, "PYTHONPATH": paths},
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, name="load-lines", daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The generator's process id."""
        return self._process.pid

    def wait_ready(self, *, deadline_s: float) -> Ready:
        """Blocks until every client is logged in and the load begins. Raises ``Unreachable`` when the app did not let
        them in, or not in time."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready is not None or self._over, timeout=deadline_s)
            if self._ready is not None:
                return self._ready
            raise self._trouble(f"the load was not ready within {deadline_s:g} s")

    def progress(self) -> Progress | None:
        """The latest counts (at most about 0.5 s old while it runs), ``None`` before the first."""
        with self._changed:
            return self._progress

    def wait_acknowledged(self, writes: int, *, deadline_s: float) -> Progress:
        """Blocks until that many writes were acknowledged: the load really runs. Raises ``Unreachable``."""
        with self._changed:
            self._changed.wait_for(lambda: self._acknowledged >= writes or self._over, timeout=deadline_s)
            if self._progress is not None and self._progress.acknowledged_writes >= writes:
                return self._progress
            raise self._trouble(f"only {self._acknowledged} of {writes} writes acknowledged within {deadline_s:g} s")

    def stop(self, *, deadline_s: float | None = None) -> Finished:
        """End the arrivals, let it finish what is under way (at most its budget), wait for the closed ledger.

        Repeatable. Raises ``Damaged`` when it did not finish in order; the ledger then still has all but the last
        quarter of a second.
        """
        if self._process.poll() is None:
            self._process.terminate()
        with self._changed:
            self._changed.wait_for(lambda: self._over, timeout=self._budget_s + 5 if deadline_s is None else deadline_s)
            if self._finished is not None:
                return self._finished
            trouble = self._trouble("the load generator did not finish in order")
        raise Damaged(trouble.message, where=trouble.where, hint=trouble.hint)

    def close(self) -> None:
        """Kill it if it still runs, and reap it. Repeatable."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        self._listener.join()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> LoadProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _acknowledged(self) -> int:
        return 0 if self._progress is None else self._progress.acknowledged_writes

    @property
    def _over(self) -> bool:
        return self._finished is not None or self._failed is not None or self._ended

    def _trouble(self, message: str) -> FailoverError:
        if self._failed is not None:
            return Unreachable(self._failed.message, hint=self._failed.hint)
        status = self._process.poll()
        ended = "" if status is None else f" (it ended with status {status})"
        return Unreachable(message + ended, where=str(self._log), hint="its last words are in that file")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = _decoder.decode(text)
            with self._changed:
                match line:
                    case Ready():
                        self._ready = line
                    case Progress():
                        self._progress = line
                    case Finished():
                        self._finished = line
                    case Failed():
                        self._failed = line
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._ended = True
            self._changed.notify_all()
