"""A ledger -> the series the report draws. Pure.

Must never be here: drawing.
"""

from __future__ import annotations

from collections.abc import Sequence

from failover.load.ledger import Ledger
from failover.load.timeline import acknowledged_instants, per_bucket
from failover.model.ledger import RequestDone, RequestKind
from failover.model.report import DrillSeries, LatencyPoint, Mark

BUCKET_S = 0.1
MOST_POINTS = 2400


def series(ledger: Ledger, *, from_s: float, until_s: float, marks: Sequence[Mark] = ()) -> DrillSeries:
    """Everything the plots need. ``from_s`` is the report's zero; ``marks`` are already relative to it."""
    failed = (failure.ended_s for request in ledger.requests for failure in request.failures)
    return DrillSeries(
        bucket_s=BUCKET_S,
        acknowledged_writes=per_bucket(
            acknowledged_instants(ledger.writes), from_s=from_s, until_s=until_s, bucket_s=BUCKET_S
        ),
        failed_attempts=per_bucket(failed, from_s=from_s, until_s=until_s, bucket_s=BUCKET_S),
        latency=thinned(
            [_point(request, from_s) for request in ledger.requests if from_s <= request.scheduled_s <= until_s],
            most=MOST_POINTS,
        ),
        marks=tuple(marks),
    )


def thinned(points: Sequence[LatencyPoint], *, most: int) -> tuple[LatencyPoint, ...]:
    """At most ``most`` points in order of time: every failure and the slowest are kept (half of the room), the rest
    evenly. What a reader looks for is never what is left out."""
    if len(points) <= most:
        return tuple(sorted(points, key=lambda point: point.at_s))
    ranked = sorted(points, key=lambda point: (point.acknowledged, -point.latency_ms))
    kept = ranked[: most // 2]
    rest = sorted(ranked[most // 2 :], key=lambda point: point.at_s)
    room = most - len(kept)
    kept += [rest[index * len(rest) // room] for index in range(room)]
    return tuple(sorted(kept, key=lambda point: point.at_s))


def _point(request: RequestDone, from_s: float) -> LatencyPoint:
    return LatencyPoint(
        at_s=round(request.scheduled_s - from_s, 3),
        latency_ms=round(request.latency_ms, 3),
        write=request.kind is RequestKind.WRITE,
        acknowledged=request.acknowledged,
    )
