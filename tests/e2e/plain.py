"""The social app as an app that is not ours (class G3): no gate of its own, and it runs where the primary is."""

from __future__ import annotations

import re

from tests.e2e.harness import LocalFleet


def plain_text(text: str) -> str:
    """A local fleet's file with its app declared as class G3, by the schema of the file alone."""
    changes = (
        (r"\n  class: G1\n", "\n  class: G3\n"),
        (r"\n    streams: \[\]\n", "\n    streams: [/api/events]\n"),
        (r"\n      start: always\n", "\n      start: when_primary\n"),
        (r"\n      gate: true\n", "\n      gate: false\n"),
        (r"\n      port: 9002\n", "\n      port: 9002\n      start: when_primary\n"),
        (r"(infra\.app\.worker\]\n)", r"\1      start: when_primary\n"),
    )
    for pattern, new in changes:
        text, count = re.subn(pattern, new, text)
        assert count == 1, pattern
    return text


def plain_fleet(one: LocalFleet) -> None:
    """``init``, and the app declared anew."""
    one.init()
    one.file.write_text(plain_text(one.file.read_text()))
    one.run("validate")
