"""The second half of ``media``: pictures under load, and the site that takes them killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.bench.lines import contender, verdict
from tests.e2e.harness import LocalFleet
from tests.e2e.media import COPIED_S, kill_the_source

_BLOCK = 48


def media_kill() -> int:
    """0 when every picture acknowledged longer than ``COPIED_S`` before is served, and the list of the rest exact."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        fleet = LocalFleet(Path(folder), block=_BLOCK)
        fleet.init("--stores")
        with fleet.standing():
            outcome = kill_the_source(fleet)
    contender(
        "media while the source is killed", acknowledged=outcome.acknowledged, last_seconds=len(outcome.late),
        unserved=len(outcome.unserved), unserved_of_the_others=len(outcome.unserved_old),
        listed=len(outcome.listed), really_missing=len(outcome.truth), took_over_s=round(outcome.took_over_s, 2),
    )  # fmt: skip
    limit = f"0 of those acknowledged > {COPIED_S:g} s before unserved; the list is what is really missing"
    return verdict("media-kill", ours=len(outcome.unserved_old), theirs=None, limit=limit, held=outcome.held)
