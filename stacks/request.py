"""What ``failover`` asks of one stack, and what it hears back: JSON in on standard input, JSON lines out."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

PROJECT = "failover"


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """The process that wants the answer. Its number alone would do for whoever gets it after its death."""

    pid: int
    start_ticks: int


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One call for one site. ``config`` may be seen, ``secrets`` and ``passphrase`` not: no repr shows them.

    ``before_store``: the site's store may not run yet, so a bucket that is not there is left for a later ``up``.
    """

    operation: str
    stack: str
    root: str
    state_dir: str
    pulumi: str
    passphrase: str
    deadline_s: float
    asker: Asker
    config: dict[str, str]
    secrets: dict[str, str]
    before_store: bool = False

    def without_bucket(self) -> Request:
        """The same site before it has its bucket."""
        config = {key: value for key, value in self.config.items() if not key.startswith(("bucket", "store"))}
        secrets = {key: value for key, value in self.secrets.items() if not key.startswith("store")}
        return msgspec.structs.replace(self, config=config, secrets=secrets)

    def __repr__(self) -> str:
        return f"Request(operation={self.operation!r}, stack={self.stack!r})"


class Report:
    """Writes JSON lines to the one who asked. A caller that has died stops nothing: the work goes on to its end."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def line(self, kind: str, **fields: object) -> None:
        """One line, written whole."""
        if self._descriptor is None:
            return
        rest = msgspec.json.encode({"kind": kind, **fields}) + b"\n"
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except BrokenPipeError:
            self._descriptor = None


class Layout:
    """Where things of one stack are below a state folder."""

    def __init__(self, state_dir: Path, stack: str) -> None:
        self.project = state_dir / "project"
        self.config = self.project / f"Pulumi.{stack}.yaml"
        self.backend = state_dir / "backend"
        self.checkpoint = self.backend / ".pulumi" / "stacks" / PROJECT / f"{stack}.json"
        self.backups = self.backend / ".pulumi" / "backups" / PROJECT / stack
        self.history = self.backend / ".pulumi" / "history" / PROJECT / stack
        self.locks = self.backend / ".pulumi" / "locks" / "organization" / PROJECT / stack
        self.home = state_dir / "home" / stack
        self.run = state_dir / "run" / stack
        self.seal = self.run / "config.seal"
        self.lease = state_dir / "run" / f"{stack}.lease"
        self.mark = f"FAILOVER_STACK={state_dir}:{stack}"

    def make(self) -> None:
        """The folders, for this user only."""
        for folder in (self.project, self.backend, self.home, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
