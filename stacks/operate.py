"""Preview, up and destroy of one stack on the real engine, each safe to repeat after a kill at any instant.

Never here: the program (``program.py``), reading state (``checkpoint.py``), one run of the engine (``engine.py``).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from infra.names import BUCKET_TYPE
from stacks import checkpoint, leftovers
from stacks.engine import CommandLine, Ended, check, now
from stacks.events import Seen
from stacks.failures import StackFailure
from stacks.language import served
from stacks.lease import held
from stacks.program import site
from stacks.project import write_config, write_project
from stacks.request import Layout, Report, Request

_RUN = ["--suppress-permalink", "--suppress-outputs", "--skip-plugin-pre-install"]


class Stack:
    """One stack, for one call."""

    def __init__(self, request: Request, report: Report) -> None:
        self._request = request
        self._report = report
        self._end = now() + request.deadline_s
        self._layout = Layout(Path(request.state_dir), request.stack)

    def preview(self) -> dict[str, Any]:
        """What ``up`` would do, found on a copy of the state: nothing of the stack is written, no lock is taken."""
        with tempfile.TemporaryDirectory(prefix="failover-preview-") as folder:
            copy = Layout(Path(folder), self._request.stack)
            copy.make()
            for ours, theirs in ((self._layout.config, copy.config), (self._layout.seal, copy.seal)):
                if ours.exists():
                    shutil.copyfile(ours, theirs)
            if (state := checkpoint.readable(self._layout)) is not None:
                copy.checkpoint.parent.mkdir(parents=True)
                shutil.copyfile(state, copy.checkpoint)
                meta = Path(".pulumi") / "meta.yaml"
                shutil.copyfile(self._layout.backend / meta, copy.backend / meta)
            self._layout = copy
            seen = self._with_program("preview", ["preview", "--refresh"])
        changes = [
            {"resource": name, "operation": operation, "fields": sorted(fields)}
            for name, (operation, fields) in sorted(seen.changes.items())
        ]
        return {"changes": changes}

    def up(self) -> dict[str, Any]:
        """Refresh, then make it so, in one run of the engine."""
        begun = now()
        self._layout.make()
        with held(self._layout, "up", self._request.asker, self._end):
            self._repair()
            state = checkpoint.read(self._layout)
            if self._request.before_store and (state is None or BUCKET_TYPE not in state.types):
                self._request = self._request.without_bucket()
            seen = self._with_program("up", ["up", "--yes", "--skip-preview", "--refresh"])
            state = checkpoint.read(self._layout)
            checkpoint.prune(self._layout)
        assert state is not None
        return {"outputs": state.outputs, "changed": len(seen.done), "seconds": now() - begun}

    def destroy(self) -> dict[str, Any]:
        """Remove everything, then what the state did not know of, then the stack itself."""
        self._layout.make()
        gone = 0
        with held(self._layout, "destroy", self._request.asker, self._end):
            self._repair()
            state = checkpoint.read(self._layout)
            if state is not None:
                command = self._command(state.salt)
                self._drop_pending(command, state)
                if state.resources:
                    seen = self._engine(command, "destroy", ["destroy", "--yes", "--skip-preview", "--refresh"], [])
                    gone = len(seen.done)
                ended = command.run(
                    ["stack", "rm", "--yes", "--force", "--stack", self._request.stack], name="rm", end=self._end
                )
                check(ended, "removing the stack")
            gone += leftovers.remove(self._request.config)
            self._forget()
        return {"removed": gone}

    def _repair(self) -> None:
        if told := checkpoint.repair(self._layout):
            self._report.line("note", message=told)
        shutil.rmtree(self._layout.home / "logs", ignore_errors=True)

    def _drop_pending(self, command: CommandLine, state: checkpoint.Checkpoint) -> None:
        """Forget what a killed engine was in the middle of: the next create adopts it, `leftovers` removes it.

        The engine only warns of such operations and keeps them for ever; an import is what leaves them out.
        """
        if not state.pending:
            return
        file = self._layout.run / "export.json"
        for act in ("export", "import"):
            ended = command.run(
                ["stack", act, "--stack", self._request.stack, "--file", str(file)], name=act, end=self._end
            )
            check(ended, f"clearing the state after a kill ({act})")
        file.unlink()
        self._report.line("note", message=f"a killed run left {len(state.pending)} unfinished; looked at again")

    def _forget(self) -> None:
        self._layout.config.unlink(missing_ok=True)
        for folder in (self._layout.home, self._layout.run, self._layout.backups, self._layout.history):
            shutil.rmtree(folder, ignore_errors=True)
        for path in self._layout.checkpoint.parent.glob(f"*{self._request.stack}.json*"):
            path.unlink()

    def _command(self, salt: str | None) -> CommandLine:
        write_project(self._layout, Path(self._request.root))
        write_config(self._layout, self._request, salt)
        return CommandLine(self._request.pulumi, self._layout, self._request.passphrase)

    def _with_program(self, name: str, arguments: list[str]) -> Seen:
        state = checkpoint.read(self._layout)
        command = self._command(state.salt if state else None)
        if state is not None and name == "up":
            self._drop_pending(command, state)
        if state is None:
            stack = ["stack", "init", self._request.stack, "--secrets-provider", "passphrase", "--no-select"]
            check(command.run(stack, name="init", end=self._end), "making the stack")
        with served(site) as (address, failures):
            inline = [f"--client={address}", "--exec-kind", "auto.inline"]
            return self._engine(command, name, [*arguments, *inline], failures)

    def _engine(self, command: CommandLine, name: str, arguments: list[str], failures: list[str]) -> Seen:
        seen = Seen()

        def on_event(event: dict[str, Any]) -> None:
            seen.take(event, self._progress)

        every = [*arguments, *_RUN, "--stack", self._request.stack]
        ended = command.run(every, name=name, end=self._end, on_event=on_event)
        if ended.status != 0:
            raise self._failure(name, ended, seen, failures)
        return seen

    def _progress(self, resource: str, operation: str, phase: str, message: str) -> None:
        self._report.line("progress", resource=resource, operation=operation, phase=phase, message=message)

    def _failure(self, name: str, ended: Ended, seen: Seen, failures: list[str]) -> StackFailure:
        """Which kind it was, by the events that came and by how it ended; the engine's texts only explain."""
        where, text = seen.errors[0] if seen.errors else ("", f"status {ended.status}; see {ended.output}")
        again = "run the command again: it goes on from what was reached"
        if ended.stopped == "interrupted":
            return StackFailure("interrupted", f"{name} was interrupted", again)
        if ended.stopped:
            return StackFailure("timeout", f"{name} did not end in time ({ended.stopped})", again)
        if ended.status < 0:
            return StackFailure("unreachable", f"pulumi was killed by signal {-ended.status} in {name}", again)
        if not seen.started and checkpoint.live_locks(self._layout):
            return StackFailure("lease-held", "another pulumi took this stack's lock first", "wait, then run it again")
        if not seen.failed and "pulumi:providers:" in where:
            return StackFailure("usage", f"a Pulumi provider plug-in cannot be used: {text}", "run script/bootstrap")
        if not seen.failed and failures:
            return StackFailure("program", f"the program of the stack failed: {failures[0]}")
        return StackFailure("unreachable", text, again)
