"""Figures over a ledger's streams and uploads. Pure. ``None`` where the workload held none."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from failover.model.ledger import StreamDone, UploadDone
from failover.model.report import StreamFigures, UploadFigures


def stream_figures(lines: Sequence[StreamDone]) -> StreamFigures | None:
    """Counts of every opening. What was refused is counted, and so is the longest time a client was without."""
    if not lines:
        return None
    held: dict[int, list[StreamDone]] = defaultdict(list)
    for line in sorted(lines, key=lambda one: one.asked_s):
        held[line.holder].append(line)
    return StreamFigures(
        held=len(held),
        ended=sum(line.opened_s > 0 and line.why != "stopped" for line in lines),
        refused=sum(line.opened_s == 0 and line.why != "stopped" for line in lines),
        open_at_end=sum(own[-1].opened_s > 0 and own[-1].why == "stopped" for own in held.values()),
        longest_away_s=round(max(map(_longest_away, held.values())), 3),
    )


def _longest_away(own: Sequence[StreamDone]) -> float:
    """From the end of one opening to the next that succeeded; to the end of the load when none did."""
    longest, away_since = 0.0, own[0].asked_s
    for line in own:
        until_s = line.opened_s or line.ended_s
        longest = max(longest, until_s - away_since)
        if line.opened_s:
            away_since = line.ended_s
    return longest


def upload_figures(lines: Sequence[UploadDone]) -> UploadFigures | None:
    """Counts; a slow upload is sent once, so whatever was not acknowledged failed."""
    if not lines:
        return None
    done = sum(line.acknowledged for line in lines)
    return UploadFigures(
        sent=len(lines),
        acknowledged=done,
        failed=len(lines) - done,
        longest_s=round(max(line.ended_s - line.sent_s for line in lines), 3),
    )
