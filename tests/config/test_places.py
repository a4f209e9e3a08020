"""The line and column of a finding are those of the key, or of the value, that its message names.

Judged by another reader of the same file: PyYAML's own nodes.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from failover.model.finding import Place
from tests.config.examples import BROKEN, VALID, check

Spot = tuple[int, int]
UNREADABLE = {"bad-character", "empty-file", "not-utf8", "too-deep", "yaml-documents", "yaml-syntax", "yaml-tab"}


def spots(file: Path) -> dict[str, set[Spot]]:
    """Path as messages show it → places of its keys and values. Keys that are there twice have two of each."""
    found: dict[str, set[Spot]] = {}
    root = next(yaml.compose_all(file.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader))
    _walk(root, "", found, set())
    found.setdefault("the file", set()).update({(1, 1), _start(root)})
    return found


def _walk(node: yaml.Node, path: str, found: dict[str, set[Spot]], open_nodes: set[int]) -> None:
    if id(node) in open_nodes:
        return
    inside = {*open_nodes, id(node)}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == "<<" or not isinstance(key, yaml.ScalarNode):  # refused, so what is around it is named
                found.setdefault(path or "the file", set()).add(_start(key))
                continue
            inner = f"{path}.{key.value}" if path else str(key.value)
            found.setdefault(inner, set()).update({_start(key), _start(value)})
            _walk(value, inner, found, inside)
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            found.setdefault(f"{path}[{index}]", set()).add(_start(item))
            _walk(item, f"{path}[{index}]", found, inside)


def _start(node: yaml.Node) -> Spot:
    return node.start_mark.line + 1, node.start_mark.column + 1


def named(message: str, paths: dict[str, set[Spot]]) -> str:
    """The path a message begins with. Keys may have a colon or a space in them, so the longest that fits."""
    return max((path for path in paths if message.startswith(f"{path}: ")), key=len, default="")


@pytest.mark.parametrize("file", [*BROKEN, *VALID], ids=lambda file: file.stem)
def test_place_is_that_of_what_the_message_names(file: Path) -> None:
    findings = [finding for finding in check(file)[1] if finding.code not in UNREADABLE]
    paths = spots(file) if findings else {}
    for finding in findings:
        path = named(finding.message, paths)
        place = finding.place
        assert place is not None
        assert path, f"{finding.message!r} names nothing that is in the file"
        if "is an alias" in finding.message:  # PyYAML has the place of what it stands for
            assert _text_at(file, place).startswith("*")
            continue
        assert (place.line, place.column) in paths[path], f"{finding.message} is not at {place}, but at {paths[path]}"


def _text_at(file: Path, place: Place) -> str:
    return file.read_text(encoding="utf-8-sig").split("\n")[place.line - 1][place.column - 1 :]


def test_the_other_reader_sees_most_findings() -> None:
    judged = [finding for file in BROKEN for finding in check(file)[1] if finding.code not in UNREADABLE]
    assert len(judged) > 100
