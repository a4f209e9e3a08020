"""Figures over a ledger's lines: pauses, percentiles, recovery, counts per bucket. Pure.

Instants are CLOCK_BOOTTIME seconds. Each figure errs on the bad side where the ledger leaves room, and its docstring
says how. Must never be here: files, the report's words.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

from failover.model.ledger import RequestDone
from failover.model.report import Latency, LoadFigures, WritePause

PAUSE_THRESHOLD_MS = 100.0


def percentile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least ``share`` (0 to 1) of all do not exceed; it always occurred.
    0 when there are none."""
    if not ordered:
        return 0.0
    rank = max(math.ceil(share * len(ordered)), 1)
    return ordered[min(rank, len(ordered)) - 1]


def acknowledged_instants(writes: Iterable[RequestDone]) -> list[float]:
    """When each acknowledged write was acknowledged, in order."""
    return sorted(write.ended_s for write in writes if write.acknowledged)


def write_pause(
    acknowledged: Sequence[float], *, from_s: float, until_s: float, threshold_ms: float = PAUSE_THRESHOLD_MS
) -> WritePause:
    """Gaps between consecutive acknowledged writes over all clients, within ``from_s`` to ``until_s``.

    The stretches before the first and after the last acknowledgement are gaps too: an app that never comes back has
    one pause to the end, not none. A gap includes the natural distance of arrivals (5 ms mean at 200 writes/s).
    """
    inside = [instant for instant in acknowledged if from_s <= instant <= until_s]
    edges = [from_s, *inside, until_s]
    gaps = sorted((later - earlier) * 1000 for earlier, later in itertools.pairwise(edges))
    return WritePause(
        longest=round(gaps[-1], 1) if until_s > from_s else 0.0,
        p99=round(percentile(gaps, 0.99), 1),
        count=sum(gap >= threshold_ms for gap in gaps),
        threshold_ms=threshold_ms,
    )


def longest_gap(acknowledged: Sequence[float], *, from_s: float, until_s: float) -> tuple[float, float]:
    """Where the longest gap began and ended; the edges count as in ``write_pause``."""
    edges = [from_s, *(instant for instant in acknowledged if from_s <= instant <= until_s), until_s]
    return max(itertools.pairwise(edges), key=lambda gap: gap[1] - gap[0])


def first_acknowledged(writes: Iterable[RequestDone], *, sent_from_s: float, not_served_by: str = "") -> float | None:
    """When the first write was acknowledged whose deciding attempt was sent at ``sent_from_s`` or later.

    Sent, not acknowledged, after it: an answer that was still on its way from a dead primary is not a recovery.
    ``not_served_by``: leave out answers that name this site. ``None``: none.
    """
    instants = (
        write.ended_s
        for write in writes
        if write.acknowledged
        and write.decided_s >= sent_from_s
        and not (not_served_by and write.served_by == not_served_by)
    )
    return min(instants, default=None)


def recovery_s(
    writes: Iterable[RequestDone], *, fault_s: float, complete_s: float, not_served_by: str = ""
) -> float | None:
    """Seconds from the fault's beginning to the first acknowledged write that was sent once the fault was complete.

    ``complete_s`` is when the last process was dead: a write sent while the fault was still spreading may have been
    acknowledged by the dying side. ``None``: no write was acknowledged any more.
    """
    first = first_acknowledged(writes, sent_from_s=complete_s, not_served_by=not_served_by)
    return None if first is None else round(first - fault_s, 3)


def load_figures(requests: Sequence[RequestDone], *, offered_per_s: float) -> LoadFigures:
    """The ``load`` part of the report. Latency is of every finished request, failed ones too (until given up)."""
    latencies = sorted(request.latency_ms for request in requests)
    acknowledged = sum(request.acknowledged for request in requests)
    return LoadFigures(
        offered_per_s=offered_per_s,
        requests=len(requests),
        acknowledged=acknowledged,
        errors=len(requests) - acknowledged,
        retried=sum(request.attempts - 1 for request in requests),
        latency_ms=Latency(
            p50=round(percentile(latencies, 0.5), 2),
            p99=round(percentile(latencies, 0.99), 2),
            max=round(latencies[-1], 2) if latencies else 0.0,
        ),
        first_attempt_failed=sum(bool(request.failures) for request in requests),
        ambiguous=sum(request.outcome == "ambiguous" and request.kind == "write" for request in requests),
    )


def per_bucket(instants: Iterable[float], *, from_s: float, until_s: float, bucket_s: float) -> tuple[int, ...]:
    """How many instants fall into each bucket of ``bucket_s``; what lies outside is left out."""
    counts = [0] * max(math.ceil((until_s - from_s) / bucket_s - 1e-9), 0)
    for instant in instants:
        if from_s <= instant < until_s:
            counts[min(int((instant - from_s) / bucket_s), len(counts) - 1)] += 1
    return tuple(counts)
