"""Takes one value out of an answer: ``json:a.b.0``, ``header:Name`` or ``cookie:name``. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie

WHERE = re.compile(r"^(json:[^\s]+|header:[A-Za-z0-9-]+|cookie:[^\s=;]+)$")


def pick(where: str, *, headers: Mapping[str, str], body: bytes) -> str | None:
    """The value as text, or ``None`` when the answer has none there. ``where`` matches ``WHERE``."""
    kind, _, name = where.partition(":")
    if kind == "header":
        return next((value for key, value in headers.items() if key.lower() == name.lower()), None)
    if kind == "cookie":
        return _cookie(name, [value for key, value in headers.items() if key.lower() == "set-cookie"])
    return _json(name, body)


def _cookie(name: str, lines: list[str]) -> str | None:
    for line in lines:
        cookie: SimpleCookie = SimpleCookie()
        try:
            cookie.load(line)
        except CookieError:
            continue
        if name in cookie:
            return cookie[name].value
    return None


def _json(path: str, body: bytes) -> str | None:
    try:
        value: object = json.loads(body)
    except ValueError:
        return None
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value if isinstance(value, str) else json.dumps(value)
