"""``partition``: every shape of a cut between three sites, by drills; and the control that its check can fail."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.faults import old_sides, sound
from tests.bench.lines import contender, say, spread, verdict
from tests.bench.moves import other, primary, total
from tests.e2e.harness import LocalFleet
from tests.e2e.lawless import without_read_fence

# Between three sites: whom the cut leaves alone, and which direction or which one link of its.
SHAPES: dict[str, tuple[str, tuple[str, ...]]] = {
    "A|BW": ("primary", ()),
    "AB|W": ("witness", ()),
    "AW|B": ("standby", ()),
    "A sends nothing": ("primary", ("--way", "out")),
    "A hears nothing": ("primary", ("--way", "in")),
    "B sends nothing": ("standby", ("--way", "out")),
    "A-B only": ("primary", ("--only", "standby")),
}
_RATE, _SECONDS = 90, 12.0
# Without the fence reads need connections that waiting writes would take: few writes (see ``lawless``).
_CONTROL_RATE = 24
_BLOCK = 171


@contextmanager
def isolated(block: int, **settings: str) -> Iterator[LocalFleet]:
    """A fleet whose sites have networks of their own, gone afterwards. Needs root. ``settings``: of the fleet file,
    each there once, that are to have another value."""
    with tempfile.TemporaryDirectory(prefix="bench") as folder:
        one = LocalFleet(Path(folder), block=block)
        one.init("--isolated")
        lines = one.file.read_text().splitlines()
        for name, value in settings.items():
            (at,) = [at for at, line in enumerate(lines) if line.strip().startswith(f"{name}:")]
            lines[at] = f"{lines[at].split(':')[0]}: {value}"
        one.file.write_text("\n".join(lines) + "\n")
        with one.standing():
            yield one


def partition(runs: int, *, contest: bool, first: int = 0) -> int:
    """Every shape ``runs`` times on one fleet, which heals by itself; then without the fence for reads."""
    del contest
    reports: dict[str, list[dict[str, Any]]] = {shape: [] for shape in SHAPES}
    troubles: list[str] = []
    with isolated(_BLOCK) as one:
        for number in range(first, first + runs):
            for shape in SHAPES:
                try:
                    reports[shape].append(_cut(one, shape, seed=number))
                except (AssertionError, subprocess.TimeoutExpired) as failure:
                    troubles.append(f"{shape}, seed {number}: {failure}")
                    say(f"{shape} seed {number}: NO REPORT: {failure}")
                    continue
                say(f"{shape} seed {number}: {_line(reports[shape][-1])}")
        caught = _control(one)
    every = [report for rows in reports.values() for report in rows]
    for shape, rows in reports.items():
        if rows:
            contender(shape, **_worst(rows))
    contender("without the fence for reads", **caught)
    sums = total(every) | old_sides(every)
    healed = [report["reprotected_s"] for report in every if report["reprotected_s"] is not None]
    contender(
        "all shapes", shapes=len(SHAPES), runs=len(every), no_report=troubles, whole_again_s=spread(healed), **sums
    )
    asked = len(SHAPES) * runs
    known = (_fewest_marks(reports["A|BW"]) or 0) > 0 and caught["stale_reads"] > 0
    held = len(healed) == asked and not troubles and sound(sums) and known
    limit = f"{asked} of {asked} heal, 0 lost, 1 writable, 0 stale, 0 alone; > 0 stale without the fence"
    return verdict("partition", ours=len(healed), theirs=None, limit=limit, held=held)


def _cut(one: LocalFleet, shape: str, *, seed: int) -> dict[str, Any]:
    alone, words = SHAPES[shape]
    site = one.wait_protected()["record"]["primary"].split("_")[0]
    sites = {"primary": site, "standby": other(site), "witness": "gamma"}
    more = tuple(sites.get(word, word) for word in words)
    return one.drill("partition", sites[alone], rate=_RATE, seconds=_SECONDS, seed=seed, more=more)


def _line(report: dict[str, Any]) -> str:
    old, moved = report["old_side"], report["primary"]
    believed = "" if old["believed_for_s"] is None else (
        f", old side believed {old['believed_for_s']} s, first write elsewhere {report['recovery_time_s']} s, "
        f"{old['marks_elsewhere']} marks"
    )  # fmt: skip
    return (
        f"lost {report['ledger']['lost']}, writable {report['writable_at_once']}, stale {old['stale_reads']} of "
        f"{old['asked']}, alone {old['writes_alone']}, {moved['before']} -> {moved['after']}{believed}, whole again "
        f"{report['reprotected_s']} s, pause {report['write_pause_ms']['longest']:.0f} ms {report['remarks'] or ''}"
    )


def _worst(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Of all runs of one shape."""

    def worst(*path: str) -> float | None:
        found = []
        for row in rows:
            value: Any = row
            for key in path:
                value = value[key]
            found.append(value)
        return max((value for value in found if value is not None), default=None)

    return {
        "runs": len(rows),
        "taken_over": sum(row["primary"]["before"] != row["primary"]["after"] for row in rows),
        "healed": sum(row["reprotected_s"] is not None for row in rows),
        "lost": worst("ledger", "lost"),
        "duplicated": worst("ledger", "duplicated"),
        "writable_at_once": worst("writable_at_once"),
        "stale_reads": worst("old_side", "stale_reads"),
        "writes_alone": worst("old_side", "writes_alone"),
        "fewest_marks_elsewhere": _fewest_marks(rows),
        "believed_for_s": worst("old_side", "believed_for_s"),
        "first_write_elsewhere_s": worst("recovery_time_s"),
        "whole_again_s": worst("reprotected_s"),
        "longest_pause_ms": worst("write_pause_ms", "longest"),
        "unprotected_s": worst("unprotected_s"),
    }


def _fewest_marks(rows: list[dict[str, Any]]) -> int | None:
    """Of the runs in which another side took over: without any, 0 stale reads would mean nothing."""
    found = [row["old_side"]["marks_elsewhere"] for row in rows if row["old_side"]["marks_elsewhere"] is not None]
    return min(found, default=None)


def _control(one: LocalFleet) -> dict[str, Any]:
    """The same cut and the same asking, of a primary that believes for ever what it once knew."""
    one.wait_protected()
    site = primary(one)
    without_read_fence(one, site)
    report = one.drill("partition", site, rate=_CONTROL_RATE, seconds=_SECONDS, seed=1)
    old = report["old_side"]
    say(f"without the fence: {_line(report)}")
    names = ("asked", "answered", "fresh_reads", "stale_reads", "marks_elsewhere", "believed_for_s")
    return {name: old[name] for name in names}
