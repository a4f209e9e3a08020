"""YAML -> nodes in which every key and every value knows its line and column. Nothing is decoded here.

YAML's powers that a fleet file does not need are refused by name instead of followed: anchors and aliases (a few lines
can stand for gigabytes), merges, tags, several documents. What must never be here: what a fleet file may contain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import yaml
from yaml import events
from yaml.error import MarkedYAMLError, YAMLError
from yaml.nodes import ScalarNode

from failover.config.problems import Path, Problems, plain, shown
from failover.config.syntax import report_syntax
from failover.model.finding import Place, Severity

DEEPEST = 12
MOST_NODES = 20_000


class Kind(StrEnum):
    """What a scalar looks like to YAML when it is written without quotes."""

    TEXT = "text"
    WHOLE = "a whole number"
    NUMBER = "a number"
    BOOLEAN = "true or false"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """``text`` exactly as written, after quotes and escapes: ``0x10`` and ``off`` are not turned into values here."""

    text: str
    kind: Kind
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One key with its value. Keys of one mapping differ."""

    key: str
    key_place: Place
    value: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """Keys in the order of the file."""

    entries: tuple[Entry, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """Items in the order of the file."""

    items: tuple[Node, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something already reported (an alias, a tag): decoders pass over it in silence."""

    place: Place


Node = Scalar | Mapping | Sequence | Refused

_KINDS = {
    "tag:yaml.org,2002:int": Kind.WHOLE,
    "tag:yaml.org,2002:float": Kind.NUMBER,
    "tag:yaml.org,2002:bool": Kind.BOOLEAN,
    "tag:yaml.org,2002:null": Kind.NOTHING,
}


def parse_nodes(text: str, problems: Problems) -> Node | None:
    """The one document of ``text``, or ``None`` after reporting that there is none. Never raises for any text."""
    builder = _Builder(problems)
    try:
        root = builder.document(yaml.parse(text, Loader=yaml.CSafeLoader))
    except MarkedYAMLError as failure:
        report_syntax(failure, text, problems)
        return None
    except YAMLError as failure:
        problems.add(Severity.ERROR, "yaml-syntax", problems.here(1, 1), f"not YAML: {failure}", "")
        return None
    except _TooMuch:
        return None
    if root is None or (isinstance(root, Scalar) and root.kind is Kind.NOTHING):
        hint = "failover init --local writes a whole one"
        problems.add(Severity.ERROR, "empty-file", problems.here(1, 1), "the file declares nothing", hint)
        return None
    return root


class _TooMuch(Exception):
    """Deeper or longer than any fleet file; already reported."""


class _Builder:
    """Turns the parser's events into nodes, bounded in depth and number before anything is built from them."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._resolver = yaml.resolver.Resolver()
        self._nodes = 0

    def document(self, stream: Iterator[events.Event]) -> Node | None:
        root: Node | None = None
        documents = 0
        for event in stream:
            if isinstance(event, events.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    message = "a second document begins here: a fleet file has one"
                    self._refuse("yaml-documents", event, message, "remove this line or what follows it")
                    # What the first document lacks may well stand in the second: no "missing" for it.
                    self._problems.spoil(())
            elif isinstance(event, events.NodeEvent) and documents == 1:
                root = self._node(event, stream, (), 0)
        return root

    def _node(self, event: events.Event, stream: Iterator[events.Event], path: Path, depth: int) -> Node:
        self._nodes += 1
        if depth > DEEPEST or self._nodes > MOST_NODES:
            self._refuse("too-deep", event, f"more than {DEEPEST} levels or {MOST_NODES} values", "is it a fleet file?")
            raise _TooMuch
        if isinstance(event, events.AliasEvent):
            message = f"{shown(path)}: *{event.anchor} is an alias"
            return self._refuse("yaml-anchor", event, message, "write the value out: aliases are not used here")
        if isinstance(event, events.NodeEvent) and event.anchor is not None:
            message = f"{shown(path)}: &{event.anchor} is an anchor"
            self._refuse("yaml-anchor", event, message, "remove it: anchors are not used here")
        node = self._content(event, stream, path, depth)
        if isinstance(event, events.ScalarEvent | events.CollectionStartEvent) and event.tag is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            message = f"{shown(path)}: {plain(tag)} is a YAML tag"
            return self._refuse("yaml-tag", event, message, "remove it: tags are not used here")
        return node

    def _content(self, event: events.Event, stream: Iterator[events.Event], path: Path, depth: int) -> Node:
        if isinstance(event, events.ScalarEvent):
            tag = self._resolver.resolve(ScalarNode, event.value, event.implicit)  # type: ignore[no-untyped-call]
            return Scalar(text=event.value, kind=_KINDS.get(tag, Kind.TEXT), place=self._place(event))
        if isinstance(event, events.SequenceStartEvent):
            items: list[Node] = []
            while not isinstance(item := next(stream), events.SequenceEndEvent):
                items.append(self._node(item, stream, (*path, f"[{len(items)}]"), depth + 1))
            return Sequence(items=tuple(items), place=self._place(event))
        return self._mapping(event, stream, path, depth)

    def _mapping(self, event: events.Event, stream: Iterator[events.Event], path: Path, depth: int) -> Mapping:
        entries: dict[str, Entry] = {}
        while not isinstance(key_event := next(stream), events.MappingEndEvent):
            key = self._key(key_event, stream, path, depth)
            inner = (*path, key.text) if key else path
            value = self._node(next(stream), stream, inner, depth + 1)
            if key is None:
                continue
            if key.text in entries:
                first = entries[key.text].key_place
                message = f"{shown(inner)}: written twice, first in line {first.line}"
                self._problems.add(Severity.ERROR, "duplicate-key", key.place, message, "keep one of the two")
                self._problems.spoil(inner)
            else:
                entries[key.text] = Entry(key=key.text, key_place=key.place, value=value)
        return Mapping(entries=tuple(entries.values()), place=self._place(event))

    def _key(self, event: events.Event, stream: Iterator[events.Event], path: Path, depth: int) -> Scalar | None:
        """The key, or ``None`` after reporting a key that is no plain word."""
        node = self._node(event, stream, path, depth + 1)
        if isinstance(node, Scalar) and node.text == "<<":
            message = f"{shown(path)}: << merges another mapping"
            self._refuse("yaml-merge", event, message, "write the keys out: merges are not used here")
            return None
        if isinstance(node, Scalar):
            return node
        if not isinstance(node, Refused):
            self._refuse("yaml-key", event, f"{shown(path)}: a key must be one word", "write it without [ ] and { }")
        return None

    def _place(self, event: events.Event) -> Place:
        mark = event.start_mark
        return self._problems.here(1, 1) if mark is None else self._problems.here(mark.line + 1, mark.column + 1)

    def _refuse(self, code: str, event: events.Event, message: str, hint: str) -> Refused:
        place = self._place(event)
        self._problems.add(Severity.ERROR, code, place, message, hint)
        return Refused(place=place)
