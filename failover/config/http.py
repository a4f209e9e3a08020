"""Decodes ``app.http``: what the edge must know of an app's addresses to hold its requests (class G3)."""

from __future__ import annotations

import re

from failover.config.decode import Value
from failover.config.problems import clipped
from failover.model.fleet import AppClass, HttpPaths

# Only what means itself in the edge's configuration, where the path is written without quotes.
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,200}")
_MOST_PATHS = 50


def decode_http(value: Value, promise: AppClass) -> HttpPaths:
    """Paths and budget. Wrong values are the defaults and reported."""
    table = value.table("streams", "slow", "slow_budget", example="streams: [/events]")
    streams, slow = table.optional("streams"), table.optional("slow")
    hold = HttpPaths(
        streams=_paths(streams),
        slow=_paths(slow),
        slow_budget_s=table.optional("slow_budget").seconds(10.0, low="1s", high="60s"),
    )
    if promise is not AppClass.G3:
        for key, paths in ((streams, hold.streams), (slow, hold.slow)):
            if paths:
                message = f"the edge of an app of class {promise} holds no requests"
                key.wrong("gate-class", message, "remove the line, or write class: G3")
    _check_overlap(slow, hold)
    return hold


def _paths(value: Value) -> tuple[str, ...]:
    paths = []
    for item in value.items():
        path = item.text()
        if path and not _PATH.fullmatch(path):
            hint = "write a path that begins with /, as /events"
            item.wrong("bad-value", f"{clipped(path)} is not the beginning of a path", hint)
        elif path == "/":
            item.wrong("bad-value", "/ is the beginning of every path: nothing would be held", "write a longer path")
        elif path:
            paths.append(path)
    if len(paths) > _MOST_PATHS:
        value.wrong("out-of-range", f"want at most {_MOST_PATHS} paths", "write what they have in common")
    return tuple(paths)


def _check_overlap(value: Value, hold: HttpPaths) -> None:
    """A path that is both would be a stream, and its uploads would not be waited for."""
    for path in hold.slow:
        stream = next((stream for stream in hold.streams if path.startswith(stream)), "")
        if stream:
            message = f"{path} is a stream already ({stream}): it is not waited for"
            value.wrong("path-twice", message, "remove it here, or write longer paths for the streams")
