"""What the house tests read: the files of the project and the imports in them. No rule lives here."""

from __future__ import annotations

import ast
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@cache
def files() -> tuple[Path, ...]:
    """Every file that is or would be committed, relative to the root, sorted."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = (Path(name) for name in sorted(set(listed.split("\0"))) if name)
    return tuple(path for path in found if (ROOT / path).is_file())


def python_files(*tops: str) -> list[Path]:
    """The Python files under the named top folders; fails if one of these folders holds none."""
    chosen = [path for path in files() if path.suffix == ".py" and path.parts[0] in tops]
    for top in tops:
        assert any(path.parts[0] == top for path in chosen), f"no Python file under {top}/"
    return chosen


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One imported module as a dotted name, with the place of the statement. ``names`` are those of a from-import."""

    path: Path
    line: int
    module: str
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.path}:{self.line} imports {self.module}"

    def targets(self) -> list[str]:
        """The module and, as ``from package import module`` may name modules too, each name below it."""
        return [self.module, *(f"{self.module}.{name}" for name in self.names)]


def module_name(path: Path) -> str:
    parts = list(path.with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> list[Import]:
    """Every import of a file, also inside functions and under ``if TYPE_CHECKING``; relative ones made absolute."""
    found = []
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            found += [Import(path=path, line=node.lineno, module=alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            names = tuple(alias.name for alias in node.names)
            found.append(Import(path=path, line=node.lineno, module=module, names=names))
    return found


def within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)
