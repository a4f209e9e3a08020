"""The stored state of one stack, read straight from its file: what is made, exported, half-made, and locked by whom.

Reading costs no run of the command line. Writing is the engine's alone, with two exceptions: a file that cannot be
parsed is replaced by its own last good copy, and a lock of a process that is gone is removed.
"""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stacks.failures import StackFailure
from stacks.request import Layout

_BACKUPS_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """``resources`` counts what a provider made (no stack, no components), ``types`` are theirs; ``salt`` opens its
    secrets."""

    salt: str | None
    resources: int
    types: frozenset[str]
    pending: tuple[str, ...]
    outputs: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """One lock file of the engine."""

    path: Path
    pid: int
    user: str
    host: str
    since: str


def read(layout: Layout) -> Checkpoint | None:
    """The stack's state as it can be read, ``None`` when there is none. Raises as ``readable`` does."""
    source = readable(layout)
    content = _parse(source) if source is not None else None
    if content is None:
        return None
    latest = content["checkpoint"].get("latest") or {}
    resources = latest.get("resources") or []
    root = next((item for item in resources if item["type"] == "pulumi:pulumi:Stack"), {})
    made = [item for item in resources if item.get("custom") and not item["type"].startswith("pulumi:")]
    return Checkpoint(
        salt=((latest.get("secrets_providers") or {}).get("state") or {}).get("salt"),
        resources=len(made),
        types=frozenset(item["type"] for item in made),
        pending=tuple(item["resource"]["urn"] for item in latest.get("pending_operations") or ()),
        outputs=root.get("outputs") or {},
    )


def readable(layout: Layout) -> Path | None:
    """The state's own file, or the newest copy that can be parsed; ``None`` when there has never been a state.

    Raises ``StackFailure`` damaged when there are copies and none of them can be parsed.
    """
    if not layout.checkpoint.exists():
        return None
    if _parse(layout.checkpoint) is not None:
        return layout.checkpoint
    backups = sorted(layout.backups.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    copies = [path for path in (layout.checkpoint.with_suffix(".json.bak"), *backups) if path.exists()]
    found = next((path for path in copies if _parse(path) is not None), None)
    if copies and found is None:
        raise StackFailure(
            "damaged",
            f"the state in {layout.checkpoint} cannot be parsed, and none of its {len(copies)} copies",
            f"move {layout.checkpoint} away and deploy again: what runs is adopted, nothing is made twice",
        )
    return found


def repair(layout: Layout) -> str:
    """Put the newest readable copy in the place of a state that cannot be parsed; says what it did, "" for nothing.

    Whatever happened since that copy is found again: refresh sees what is gone, creates adopt what is there. A file
    without any copy is a first write that was cut short; the stack is made anew.
    """
    source = readable(layout)
    if source == layout.checkpoint or not layout.checkpoint.exists():
        return ""
    damaged = layout.checkpoint.with_name(f".{layout.checkpoint.name}.damaged")
    layout.checkpoint.replace(damaged)
    if source is None:
        return f"the stack was only being made and is made anew; the damaged file is kept as {damaged}"
    temporary = layout.checkpoint.with_name(f".{layout.checkpoint.name}.{os.getpid()}")
    temporary.write_bytes(source.read_bytes())
    temporary.replace(layout.checkpoint)
    return f"the state was cut short; {source.name} took its place, the damaged file is kept as {damaged}"


def prune(layout: Layout) -> None:
    """Keep the newest backups and history entries: the engine writes some with every run and removes none."""
    for folder in (layout.backups, layout.history):
        if folder.exists():
            files = sorted((path for path in folder.iterdir() if path.is_file()), key=lambda path: path.stat().st_mtime)
            for path in files[: -2 * _BACKUPS_KEPT]:
                path.unlink(missing_ok=True)


def live_locks(layout: Layout) -> list[Lock]:
    """Locks of the engine whose process lives (or is of another machine); those of the dead are removed.

    Never `pulumi cancel`: it removes every lock and stops nothing, so that two engines would write at once.
    """
    found: list[Lock] = []
    for path in layout.locks.glob("*.json"):
        try:
            content = json.loads(path.read_text())
            lock = Lock(
                path=path,
                pid=content["pid"],
                user=content["username"],
                host=content["hostname"],
                since=content["timestamp"],
            )
        except FileNotFoundError:
            continue
        except (ValueError, KeyError):
            # Cut short by a kill while it was written; a writer that lives has finished it a moment later.
            if time.time() - path.stat().st_mtime > 2:
                path.unlink(missing_ok=True)
            continue
        if lock.host != socket.gethostname() or _is_engine(lock.pid):
            found.append(lock)
        else:
            path.unlink(missing_ok=True)
            path.with_name(path.name + ".attrs").unlink(missing_ok=True)
    return found


def _is_engine(pid: int) -> bool:
    # A number is given out again; another program under it is not the one that took the lock.
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state.rsplit(")", 1)[1].split()[0] not in "ZX" and "(pulumi" in state


def _parse(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get("checkpoint"), dict) else None
