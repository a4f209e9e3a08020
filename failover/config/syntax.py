"""Says where and why a text is not YAML. The parser's own words are shown, never interpreted."""

from __future__ import annotations

from yaml.error import MarkedYAMLError

from failover.config.problems import Problems
from failover.model.finding import Severity

_HINT = "look here and at the line above: indentation, a missing colon, an open quote or bracket"


def report_syntax(failure: MarkedYAMLError, text: str, problems: Problems) -> None:
    """One finding: what follows a syntax error cannot be read. Its place lies in the file."""
    lines = text.split("\n")
    row, column = _where(failure, lines)
    line = lines[row]
    indentation = line[: len(line) - len(line.lstrip())]
    if "\t" in indentation or line[column : column + 1] == "\t":
        column = indentation.index("\t") if "\t" in indentation else column
        message = "a tab stands where YAML wants spaces"
        problems.add(Severity.ERROR, "yaml-tab", problems.here(row + 1, column + 1), message, "indent with spaces")
        return
    what = ", ".join(part for part in (failure.context, failure.problem) if part)
    problems.add(Severity.ERROR, "yaml-syntax", problems.here(row + 1, column + 1), f"not YAML: {what}", _HINT)


def _where(failure: MarkedYAMLError, lines: list[str]) -> tuple[int, int]:
    """Row and column, from 0. Noticed only at the end of the file: where it began is then the better place."""
    problem, context = failure.problem_mark, failure.context_mark
    mark = problem if problem is not None and not _at_end(problem.line, problem.column, lines) else context or problem
    if mark is None:
        return 0, 0
    row = min(mark.line, len(lines) - 1)
    return row, min(mark.column, len(lines[row]))


def _at_end(row: int, column: int, lines: list[str]) -> bool:
    last = len(lines) - 1 if lines[-1] or len(lines) == 1 else len(lines) - 2
    return row > last or (row == last and column >= len(lines[last]))
