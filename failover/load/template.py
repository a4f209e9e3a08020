"""Texts with ``{name}`` in them: split once, filled for every request. Pure.

``{{`` is a literal brace. Must never be here: which names exist (workload), where their values come from (client).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_TOKEN = re.compile(r"\{\{|\{([a-z][a-z0-9_]*)\}")


class Template:
    """A text ready to be filled. With ``escape_json`` the values are put inside JSON strings: quotes, backslashes
    and control characters are escaped, so a token with a quote in it does not break the body."""

    __slots__ = ("_escape_json", "_names", "_parts")

    def __init__(self, text: str, *, escape_json: bool = False) -> None:
        self._escape_json = escape_json
        parts: list[str] = [""]
        names: list[str] = []
        end = 0
        for match in _TOKEN.finditer(text):
            parts[-1] += text[end : match.start()]
            end = match.end()
            if match[1] is None:
                parts[-1] += "{"
            else:
                names.append(match[1])
                parts.append("")
        parts[-1] += text[end:]
        self._parts = tuple(parts)
        self._names = tuple(names)

    @property
    def names(self) -> tuple[str, ...]:
        """Every name in the text, in order, repeated as often as it stands there."""
        return self._names

    def fill(self, values: Mapping[str, str]) -> str:
        """The text with its values. Raises ``KeyError`` for a name without one."""
        if not self._names:
            return self._parts[0]
        filled = [self._parts[0]]
        for name, part in zip(self._names, self._parts[1:], strict=True):
            value = values[name]
            filled.append(json.dumps(value)[1:-1] if self._escape_json else value)
            filled.append(part)
        return "".join(filled)
