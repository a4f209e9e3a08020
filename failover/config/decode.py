"""Decoders of lists and mappings. A wrong value is reported and a stand-in returned: decoding goes on to the last line.

What must never be here: the keys of a fleet file; those are in the sections' own files.
"""

from __future__ import annotations

from collections.abc import Iterator

from failover.config.names import closest, found
from failover.config.nodes import Kind, Mapping, Node, Refused, Scalar, Sequence
from failover.config.problems import Path, Problems, plain
from failover.config.scalars import Leaf
from failover.model.finding import Place


class Value(Leaf):
    """Any value of the file: what a ``Leaf`` decodes, or a list, or a mapping."""

    def items(self) -> tuple[Value, ...]:
        """The values of a list."""
        if self.node is None or isinstance(self.node, Refused):
            return ()
        if not isinstance(self.node, Sequence):
            words = self.node.text.split() if isinstance(self.node, Scalar) else []
            hint = f"write [{', '.join(map(plain, words)) or 'one, two'}]"
            self.wrong("wrong-type", f"want a list, found {found(self.node)}", hint)
            return ()
        values = []
        for index, item in enumerate(self.node.items):
            path = (*self.path, f"[{index}]")
            self.problems.stands(path, key=None, value=item.place)
            values.append(Value(self.problems, path, item))
        return tuple(values)

    def entries(self, *, example: str, may_be_empty: bool = True) -> tuple[tuple[str, Value], ...]:
        """Keys the operator chose, with their values. A key with nothing below it is an empty mapping."""
        node = self._mapping(example, may_be_empty)
        return () if node is None else tuple(_values(self.problems, self.path, node))

    def table(self, *keys: str, example: str, may_be_empty: bool = True) -> Table:
        """A mapping with the keys ``keys`` and no other."""
        node = self._mapping(example, may_be_empty)
        return Table(self.problems, self.path, node, keys)

    def _mapping(self, example: str, may_be_empty: bool) -> Mapping | None:
        node = self.node
        if node is None:
            return None
        if isinstance(node, Refused):
            self.problems.spoil(self.path)
            return None
        empty = (isinstance(node, Scalar) and node.kind is Kind.NOTHING) or (
            isinstance(node, Mapping) and not node.entries
        )
        if empty and may_be_empty:
            return None
        if empty or not isinstance(node, Mapping):
            message = f"want keys and values, found {'nothing' if empty else found(node)}"
            hint = f"write below it, indented: {example}" if self.path else f"begin with {example}"
            self.wrong("wrong-type", message, hint)
            return None
        return node


class Table:
    """A mapping with known keys. Every unknown key is reported when the table is made."""

    def __init__(self, problems: Problems, path: Path, node: Mapping | None, keys: tuple[str, ...]) -> None:
        self._problems = problems
        self._path = path
        self._written = {} if node is None else dict(_values(problems, path, node))
        for key in self._written:
            if key not in keys:
                self._unknown(key, keys)

    def optional(self, key: str) -> Value:
        """The value of ``key``, perhaps not present."""
        return self._written.get(key) or Value(self._problems, (*self._path, key), None)

    def required(self, key: str, example: str) -> Value:
        """The value of ``key``; its absence is reported once, with ``example`` as what to write."""
        value = self.optional(key)
        if not value.present and self._problems.sound(*value.path):
            message, hint = f"{key} is missing", f"add {key}: {example}"
            self._problems.error("missing-key", self._path, message, hint, at_key=True, spoils=(value.path,))
        return value

    def _unknown(self, key: str, keys: tuple[str, ...]) -> None:
        meant = closest(key, tuple(known for known in keys if known not in self._written))
        hint = f"did you mean {meant}?" if meant else "known here: " + ", ".join(keys)
        self._problems.error("unknown-key", (*self._path, key), "unknown key", hint, at_key=True)
        if meant:
            # The misspelt key is the one finding: "missing", or a default at work, would only repeat it.
            self._problems.spoil((*self._path, meant))


def _values(problems: Problems, path: Path, node: Mapping) -> Iterator[tuple[str, Value]]:
    for entry in node.entries:
        inner = (*path, entry.key)
        problems.stands(inner, key=entry.key_place, value=_value_place(entry.value))
        yield entry.key, Value(problems, inner, entry.value)


def _value_place(node: Node) -> Place | None:
    """Where the value stands; a block below its key is better shown at the key."""
    return None if isinstance(node, Mapping) or (isinstance(node, Scalar) and node.kind is Kind.NOTHING) else node.place
