"""``broken-laws``: each law switched off in real parts is reported, and nothing is while it is kept."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from tests.bench.lines import contender, say, verdict
from tests.laws.cases import CASES
from tests.laws.law import Court


def broken_laws(runs: int, *, contest: bool) -> int:
    """The first ``runs`` cases, each once kept and once broken."""
    del contest
    reported = quiet = 0
    chosen = CASES[:runs]
    with tempfile.TemporaryDirectory(prefix="laws") as folder:
        court = Court(Path(folder))
        for case in chosen:
            began = time.monotonic()
            kept, broken = court.tell(case, kept=True), court.tell(case, kept=False)
            reported += bool(broken)
            quiet += not kept
            say(f"{case.law} {case.id}: {time.monotonic() - began:.1f} s; broken: {broken[:1] or 'NOT REPORTED'}"
                f"{f'; KEPT, AND REPORTED: {kept}' if kept else ''}")  # fmt: skip
    contender("failover", cases=len(chosen), reported=reported, quiet_when_kept=quiet,
              laws=sorted({case.law for case in chosen}))  # fmt: skip
    held = reported == quiet == len(chosen) >= min(runs, 24)
    limit = f"{len(chosen)} of {len(chosen)} reported, none while kept"
    return verdict("broken-laws", ours=reported, theirs=None, limit=limit, held=held)
