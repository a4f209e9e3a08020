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


def plain_workload(text: str) -> str:
    """Beside its requests: streams held open, and an upload of eight seconds begun every two."""
    beside = """streams:
  - method: GET
    path: /api/events
    accept: [200]
    clients: 4

uploads:
  - method: POST
    path: /api/media
    headers: {Authorization: "Bearer {token}", Idempotency-Key: "{id}", Content-Type: image/gif}
    begins: GIF89a
    size_bytes: 200000
    takes: 8s
    every: 2s
    accept: [201]

"""
    before, mark, after = text.partition("# Headers of an answer that name the primary")
    assert mark
    return before + beside + mark + after


def plain_fleet(one: LocalFleet) -> None:
    """``init``, and the app declared anew."""
    one.init()
    one.file.write_text(plain_text(one.file.read_text()))
    workload = one.folder / "workload.yaml"
    workload.write_text(plain_workload(workload.read_text()))
    one.run("validate")
