"""``crashpoints``: every verb struck at every point that its plan has. ``--runs N`` takes a seeded sample of N.

``--lanes N`` fleets side by side. All is written to ``.failover/crashpoints/`` of the checkout (or ``--folder``) as it
comes; ``--continue`` strikes what is left there, and again what went wrong. ``--only TEXT``: the points whose text has
it; a whole one repeats just that one.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.bench.crash_lane import enumerate_all
from tests.bench.crash_results import Results, sound
from tests.bench.lines import contender, say, spread, verdict
from tests.e2e.crash_points import sample
from tests.e2e.harness import ROOT

ALL = 1_000_000
_SEED = 4
BLOCK, NEXT_LANE = 141, 30
_LOOK_S = 2.0


def crashpoints(
    runs: int, *, contest: bool, lanes: int = 1, block: int = BLOCK, only: str = "", folder: Path | None = None,
    go_on: bool = False,
) -> int:  # fmt: skip
    """Every point, moves under load: the same end state, nothing lost, nothing done twice, nothing left running."""
    del contest
    results = Results(_folder(folder, go_on=go_on))
    if not results.points():
        say("the points are made from the plans of a fleet")
        with tempfile.TemporaryDirectory(prefix="crash") as base:
            found = enumerate_all(Path(base), block)
        (results.folder / "found").write_text(str(len(found)))
        wanted = tuple(point for point in found if only in str(point))
        results.put_points(tuple(sample(wanted, runs, seed=_SEED)))
    results.forget_claims()
    with _running(results, lanes, block) as running:
        _follow(results, running)
    return summary(results)


def _folder(asked: Path | None, *, go_on: bool) -> Path:
    kept = ROOT / ".failover" / "crashpoints"
    there = sorted(path.parent for path in kept.glob("*/points.json"))
    fresh = kept / time.strftime("%Y%m%dT%H%M%S")
    if asked is not None:
        return asked.absolute()
    return there[-1] if go_on and there else fresh


@contextlib.contextmanager
def _running(results: Results, lanes: int, block: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """The lanes; told to end, and waited for, whatever happens here."""
    running = []
    for lane in range(lanes):
        words = [str(results.folder), str(lane), str(block + lane * NEXT_LANE)]
        with (results.folder / f"lane-{lane}.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.bench.crash_lane", *words]
            running.append(
                subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield running
    except KeyboardInterrupt:
        say("stopped: each lane ends its point and compares its ledger; --continue goes on")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _follow(results: Results, running: list[subprocess.Popen[bytes]]) -> None:
    """A line for every point that ended, with the time left at the pace so far."""
    shown = {_name(line) for line in results.lines()}
    done, total, began = len(results.passed()), len(results.points()), time.monotonic()
    first = done
    while True:
        over = all(process.poll() is not None for process in running)
        for line in results.lines():
            if _name(line) in shown:
                continue
            shown.add(_name(line))
            if "point" in line:
                done += 1
                left_s = (total - done) * (time.monotonic() - began) / (done - first)
                say(f"{time.strftime('%T')} {_told(line, done, total)}; {max(0.0, left_s) / 60:.0f} min left")
            else:
                say(f"  load {line['compared']}: {line['acknowledged']} acknowledged, lost {len(line['lost'])}, "
                    f"twice {len(line['duplicated'])}, not known {len(line['unknown'])}")  # fmt: skip
        if over:
            return
        time.sleep(_LOOK_S)


def _name(line: dict[str, Any]) -> tuple[str, float]:
    return str(line.get("point") or line["compared"]), float(line["at_s"])


def _told(line: dict[str, Any], done: int, total: int) -> str:
    end = "; ".join(line["wrong"]) or ("as it should" if line["reached"] else "not reached")
    return f"{done}/{total} {line['point']}: exit {line['statuses']}, {line['seconds']:.1f} s, {end}"


def summary(results: Results) -> int:
    """The lines of the benchmark."""
    known, loads, wanted = results.known(), results.loads(), results.points()
    wrong = {name: line for name, line in known.items() if line["wrong"]}
    for name, line in wrong.items():
        say(f"WRONG {name}: {'; '.join(line['wrong'])}\n  again: script/bench crashpoints --only '{name}'")
    sums = {name: sum(len(load[name]) for load in loads) for name in ("lost", "duplicated", "unknown")}
    found = results.folder / "found"
    reached = sum(line["reached"] for line in known.values())
    contender(
        "failover", points=int(found.read_text()) if found.exists() else len(wanted), wanted=len(wanted),
        struck=len(known), reached=reached, arrived=len(known) - len(wrong),
        acknowledged=sum(load["acknowledged"] for load in loads),
        seconds=spread([line["seconds"] for line in known.values()]),
        struck_by_verb=dict(Counter(line["verb"] for line in known.values())), results=str(results.folder), **sums,
    )  # fmt: skip
    held = not wrong and len(known) == len(wanted) and all(map(sound, loads)) and reached > 0
    limit = f"{len(wanted)} of {len(wanted)} arrive, 0 lost, 0 twice"
    return verdict("crashpoints", ours=len(known) - len(wrong), theirs=None, limit=limit, held=held)
