"""Files and functions stay small enough to be read at once; packages hold no code of their own; names say something."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.tree import ROOT, files, parsed, python_files

SOURCE = ("failover", "infra", "stacks")
LIMIT = 500
REASON_FROM = 350
REASON = "Longer than 350 lines because"
FUNCTION_LIMIT = 50
EMPTY_NAMES = {"utils", "util", "common", "helpers", "helper", "manager", "base", "misc"}
CODE = {".py", ".sh", ".sql", ".js", ".css", ".html", ""}  # "": scripts


def code_files() -> list[str]:
    made_by_tools = {".gitignore"}
    return [str(path) for path in files() if path.suffix in CODE and path.name not in made_by_tools]


@pytest.mark.parametrize("name", code_files())
def test_file_is_short_or_says_why_not(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    lines = text.count("\n")
    assert lines <= LIMIT, f"{name} has {lines} lines; {LIMIT} is the end"
    assert lines <= REASON_FROM or REASON in text, f"{name} has {lines} lines and does not say '{REASON} …'"


def functions(tree: ast.Module) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, int]]:
    """Every function with its length in lines from ``def`` to the end, without its docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
                length -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield node, length


def test_functions_fit_on_a_screen() -> None:
    long = [
        f"{path}:{node.lineno} {node.name} has {length} lines"
        for path in python_files(*SOURCE)
        for node, length in functions(parsed(path))
        if length > FUNCTION_LIMIT
    ]
    assert not long, "\n" + "\n".join(long)


def test_packages_hold_a_docstring_only() -> None:
    full = [str(path) for path in python_files(*SOURCE) if path.name == "__init__.py" and len(parsed(path).body) > 1]
    assert not full


def test_every_module_says_what_lives_here() -> None:
    silent = [str(path) for path in python_files(*SOURCE) if not ast.get_docstring(parsed(path))]
    assert not silent


def test_names_say_something() -> None:
    empty = [str(path) for path in python_files(*SOURCE, "tests") if EMPTY_NAMES & {*path.with_suffix("").parts}]
    assert not empty
