"""Only render/ writes to the terminal: a command returns a result, and one place shows it."""

from __future__ import annotations

import ast
from pathlib import Path

from tests.house.tree import parsed, python_files

MAY_PRINT = Path("failover/render")


def prints(tree: ast.AST) -> list[int]:
    """The lines where the built-in ``print`` is called or passed on."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print"]


def test_only_render_prints() -> None:
    found = [
        f"{path}:{line}"
        for path in python_files("failover", "infra", "stacks")
        if MAY_PRINT not in path.parents
        for line in prints(parsed(path))
    ]
    assert not found


def test_a_print_is_seen() -> None:
    assert prints(ast.parse("def f():\n    return list(map(print, [1]))")) == [2]
