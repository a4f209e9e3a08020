"""What a process asks of its database, kept so that connections to the standby can be readied for the same.

A backend that meets a statement for the first time reads catalogues and plans for tens of milliseconds; after a move
every backend does so at once, and that is the longest part of what users wait for. `EXPLAIN` plans a statement without
running it, and a standby allows it for writes too. Must never be here: connections, anything that is written down.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import LiteralString

Parameters = Mapping[str, object]
MOST_STATEMENTS = 24


class Repertoire:
    """The statements asked last, each with parameters that fit it. In memory only: parameters are people's."""

    def __init__(self) -> None:
        self._asked: OrderedDict[LiteralString, Parameters] = OrderedDict()

    def note(self, statement: LiteralString, parameters: Parameters) -> None:
        """It was asked (again)."""
        if statement not in self._asked and len(self._asked) >= MOST_STATEMENTS:
            self._asked.popitem(last=False)
        self._asked[statement] = parameters

    def unknown_to(self, known: set[str]) -> Iterator[tuple[LiteralString, Parameters]]:
        """What a connection that has readied `known` has not."""
        return ((statement, parameters) for statement, parameters in self._asked.items() if statement not in known)
