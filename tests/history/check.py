"""An independent checker: reads a published history and the final rows, and says what should not have happened.

``python -m tests.history.check FOLDER`` (``history.jsonl``, ``final.jsonl``); exit 0 sound, 1 not. It knows nothing of
failover: standard library only, and of the database only what the dump says. Every time is of one clock, in seconds.

Lines of ``history.jsonl``, ``e`` says which:
* ``invoke`` ``{op, kind, key, t}`` and for a write ``n`` and ``id``: a client began. Writes of one key are numbered.
* ``return`` ``{op, ok, tried, t}`` and, when ok, ``site``, ``epoch``; for a read ``seen``: numbers it was shown, the
  newest ``window`` of the key. ``tried``: when the deciding attempt left. ``ok`` false: whether it was done is open.
* ``fault`` ``{what, t}``, ``recovered`` ``{t}``; ``record`` ``{revision, epoch, primary, sync, t}``.
``final.jsonl``: ``{id}`` for each stored row.
"""

from __future__ import annotations

import itertools
import json
import sys
from bisect import bisect_left, bisect_right, insort
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def read_lines(path: Path) -> list[Line]:
    """One JSON object a line."""
    return [json.loads(text) for text in path.read_text().splitlines() if text]


def violations(history: list[Line], final: list[Line]) -> list[str]:
    """Everything that is wrong, each in one sentence; empty when the history is sound."""
    invoked = {line["op"]: line for line in history if line["e"] == "invoke"}
    done = [{**invoked[line["op"]], **line, "began": invoked[line["op"]]["t"]} for line in history
            if line["e"] == "return" and line["op"] in invoked]  # fmt: skip
    writes = [one for one in done if one["kind"] == "write" and one["ok"]]
    reads = [one for one in done if one["kind"] == "read" and one["ok"]]
    stored = Counter(line["id"] for line in final)
    sent = {line["id"]: line for line in invoked.values() if line["kind"] == "write"}
    return [
        *_durable(writes, stored),
        *(f"{row} is stored {count} times" for row, count in sorted(stored.items()) if count > 1),
        *(f"{row} is stored and nobody wrote it" for row in sorted(stored) if row not in sent),
        *_one_primary(writes),
        *_reads(reads, writes, sent, stored),
        *_record([line for line in history if line["e"] == "record"]),
        *_faults(history),
    ]


def _durable(writes: list[Line], stored: Counter[str]) -> list[str]:
    return [f"{one['id']} was acknowledged at {one['t']:.3f} by {one['site']} in epoch {one['epoch']} and is lost"
            for one in writes if one["id"] not in stored]  # fmt: skip


def _one_primary(writes: list[Line]) -> list[str]:
    """An epoch has one primary; and once an epoch has acknowledged, no earlier one does: whatever it acknowledges in an
    attempt that began afterwards shows two that take writes at one time."""
    wrong = []
    sites: dict[int, set[str]] = defaultdict(set)
    for one in writes:
        sites[one["epoch"]].add(one["site"])
    wrong += [f"epoch {epoch} acknowledged at {' and '.join(sorted(at))}" for epoch, at in sites.items() if len(at) > 1]
    acknowledged = sorted(writes, key=lambda one: one["t"])
    instants, newest = [one["t"] for one in acknowledged], list[int]()
    for one in acknowledged:
        newest.append(max(one["epoch"], newest[-1] if newest else 0))
    for one in writes:
        before = bisect_left(instants, one["tried"]) - 1
        if before >= 0 and newest[before] > one["epoch"]:
            wrong.append(f"{one['id']} was acknowledged in epoch {one['epoch']}, begun at {one['tried']:.3f}, "
                         f"when epoch {newest[before]} had acknowledged already")  # fmt: skip
    return wrong


def _reads(reads: list[Line], writes: list[Line], sent: dict[str, Line], stored: Counter[str]) -> list[str]:
    """A read shows what was acknowledged before it began, what earlier reads had shown, and nothing that is gone."""
    wrong = []
    ids = {(line["key"], line["n"]): row for row, line in sent.items()}
    first: dict[str, dict[int, float]] = defaultdict(dict)
    """By key: when each number was known to anybody, acknowledged or shown."""
    for key, number, at in (*((one["key"], one["n"], one["t"]) for one in writes),
                            *((one["key"], number, one["t"]) for one in reads for number in one["seen"])):  # fmt: skip
        first[key][number] = min(at, first[key].get(number, at))
    coming = {key: sorted(((at, number) for number, at in known.items()), reverse=True) for key, known in first.items()}
    known: dict[str, list[int]] = defaultdict(list)
    # In the order in which they began, so that what is known only grows: a history has tens of thousands of reads.
    for one in sorted(reads, key=lambda one: float(one["tried"])):
        seen, before, next_ = set(one["seen"]), known[one["key"]], coming.get(one["key"], [])
        while next_ and next_[-1][0] < one["tried"]:
            insort(before, next_.pop()[1])
        # A page shows the newest ones; what is older than all it shows may have left it.
        oldest = min(seen) if len(seen) >= one["window"] else -1
        missing = [number for number in before[bisect_right(before, oldest) :] if number not in seen]
        if missing:
            wrong.append(f"a read of {one['key']} begun at {one['tried']:.3f} at {one['site']} lacks {missing[:5]}, "
                         "known before it began")  # fmt: skip
        gone = sorted(number for number in seen if ids.get((one["key"], number), "") not in stored)
        if gone:
            wrong.append(f"a read of {one['key']} at {one['t']:.3f} was shown {gone[:5]}, which are not stored")
    return wrong


def _record(record: list[Line]) -> list[str]:
    """Revisions and epochs only grow; another primary is another epoch, and it held every acknowledged write."""
    wrong = []
    for before, after in itertools.pairwise(record):
        where = f"revision {before['revision']} -> {after['revision']}"
        if after["revision"] <= before["revision"]:
            wrong.append(f"{where} does not grow")
        if after["epoch"] < before["epoch"]:
            wrong.append(f"{where}: epoch {before['epoch']} -> {after['epoch']}")
        if after["primary"] != before["primary"] and after["epoch"] <= before["epoch"]:
            wrong.append(f"{where}: primary {before['primary']} -> {after['primary']} in one epoch")
        seen_next = after["revision"] == before["revision"] + 1
        if seen_next and after["primary"] != before["primary"] and after["primary"] not in before["sync"]:
            wrong.append(f"{where}: {after['primary']} became primary and was not in sync")
    return wrong


def _faults(history: list[Line]) -> list[str]:
    faults = [line for line in history if line["e"] == "fault"]
    recovered = max((line["t"] for line in history if line["e"] == "recovered"), default=-1.0)
    return [f"{line['what']} at {line['t']:.3f} was never recovered from" for line in faults if line["t"] > recovered]


def figures(history: list[Line], final: list[Line]) -> dict[str, int]:
    """What there was to check: a history of nothing is sound too."""
    kinds = Counter(line["e"] for line in history)
    return {
        "operations": kinds["invoke"],
        "acknowledged": sum(1 for line in history if line["e"] == "return" and line["ok"]),
        "faults": kinds["fault"], "record_changes": kinds["record"], "rows": len(final),
        "epochs": len({line["epoch"] for line in history if line["e"] == "record"}),
    }  # fmt: skip


def main() -> int:
    folder = Path(sys.argv[1])
    history, final = read_lines(folder / "history.jsonl"), read_lines(folder / "final.jsonl")
    wrong = violations(history, final)
    sys.stdout.write("".join(f"{one}\n" for one in wrong))
    sys.stdout.write(json.dumps({**figures(history, final), "violations": len(wrong)}) + "\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
