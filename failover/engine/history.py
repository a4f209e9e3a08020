"""What the journal says of a run that did not end: what was sent, how it ended, whether undoing began. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from failover.model.journal import JournalLine, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """``intended``: steps with an intent, so that something may have been changed. ``open``: those of them whose end
    is not known. ``undoing``: taking back had begun, so it can only be finished."""

    intended: frozenset[str] = frozenset()
    open: frozenset[str] = frozenset()
    undoing: bool = False


def history(lines: Iterable[JournalLine]) -> History:
    """Read a run's lines in order."""
    intended: set[str] = set()
    unsettled: set[str] = set()
    undoing = False
    for line in lines:
        if line.undoing:
            undoing = True
        elif line.kind == "intent":
            intended.add(line.step)
            unsettled.add(line.step)
        elif line.kind == "result" and line.outcome is not Outcome.UNKNOWN:
            unsettled.discard(line.step)
    return History(intended=frozenset(intended), open=frozenset(unsettled), undoing=undoing)
