"""Engine events to what people and planners want to know: changes, progress, and what kind of failure it was.

Failures are told apart by which events came, never by their text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

# Steps of one replacement; a reader wants to see one word.
_OPERATIONS = {"create-replacement": "replace", "delete-replaced": "replace", "discard-replaced": "replace"}
_SHOWN = frozenset({"create", "update", "replace", "delete"})

Progress = Callable[[str, str, str, str], None]


def _name(urn: str) -> str:
    return f"{urn.split('::')[2].rsplit('$', 1)[-1].rsplit(':', 1)[-1]} {urn.rsplit('::', 1)[-1]}"


def _is_resource(metadata: dict[str, Any]) -> bool:
    """False for stacks, components and the engine's own provider entries: they are nothing at a provider."""
    state = metadata.get("new") or metadata.get("old") or {}
    return bool(state.get("custom")) and not str(metadata.get("type", "")).startswith("pulumi:")


@dataclass(slots=True)
class Seen:
    """What one run of the engine said: ``changes`` is what it plans, ``done`` what it did (refresh changes nothing)."""

    started: bool = False
    failed: bool = False
    changes: dict[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    done: set[tuple[str, str]] = field(default_factory=set)
    errors: list[tuple[str, str]] = field(default_factory=list)

    def take(self, event: dict[str, Any], progress: Progress) -> None:
        """Account for one event, and pass on what is worth showing."""
        if "preludeEvent" in event:
            self.started = True
        elif pre := event.get("resourcePreEvent"):
            self._planned(pre["metadata"], progress)
        elif done := event.get("resOutputsEvent"):
            self._finished(done["metadata"], progress)
        elif failed := event.get("resOpFailedEvent"):
            self.failed = True
            self._tell(failed["metadata"], "failed", progress)
        elif (diagnostic := event.get("diagnosticEvent")) and diagnostic.get("severity") == "error":
            self.errors.append((diagnostic.get("urn") or "", diagnostic["message"].strip()))

    def _planned(self, metadata: dict[str, Any], progress: Progress) -> None:
        if not _is_resource(metadata):
            return
        operation = _OPERATIONS.get(metadata["op"], metadata["op"])
        if operation in ("refresh", "read"):
            return
        name, before = _name(metadata["urn"]), self.changes.get(_name(metadata["urn"]))
        fields = frozenset(metadata.get("detailedDiff") or metadata.get("diffs") or ())
        if before is not None and before[0] == "replace":
            operation, fields = "replace", fields | before[1]
        self.changes[name] = (operation, fields)
        self._tell(metadata, "started", progress)

    def _finished(self, metadata: dict[str, Any], progress: Progress) -> None:
        operation = _OPERATIONS.get(metadata["op"], metadata["op"])
        if _is_resource(metadata) and operation in _SHOWN:
            self.done.add((metadata["urn"], operation))
        self._tell(metadata, "done", progress)

    @staticmethod
    def _tell(metadata: dict[str, Any], phase: str, progress: Progress) -> None:
        operation = _OPERATIONS.get(metadata["op"], metadata["op"])
        if _is_resource(metadata) and operation in _SHOWN:
            progress(_name(metadata["urn"]), operation, phase, "")
