"""How many sites accepted writes at one instant: the split-brain figure, from two independent kinds of evidence. Pure.

Probes err upward: consecutive "writable" answers of one site are taken as one stretch from the first question to the
last answer, so sites that took over from each other between two probes cannot look apart when they were not. The
ledger errs downward, it only counts what is certain: an older epoch acknowledged a write that was sent after a newer
epoch had acknowledged one. The figure is the larger of the two.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from failover.model.ledger import RequestDone, WritableSample

Stretch = tuple[float, float, str]


def writable_at_once(samples: Iterable[WritableSample], writes: Sequence[RequestDone]) -> int | None:
    """The most sites that accepted writes at one instant; ``None`` when there is no evidence of either kind.

    Probes alone see nothing between two of them when a site was writable for less than their distance; the ledger
    alone sees nothing unless answers name site and epoch. Report the probes' distance beside the figure.
    """
    stretches = writable_stretches(samples)
    labelled = [write for write in writes if write.acknowledged and write.served_by and write.epoch]
    if not stretches and not labelled:
        return None
    most = most_overlapping(stretches)
    return max(most, 2 if overtaken(labelled) else min(len(labelled), 1))


def writable_stretches(samples: Iterable[WritableSample]) -> list[Stretch]:
    """(from, until, site) of every run of "writable" answers of one site."""
    by_site: dict[str, list[WritableSample]] = {}
    for sample in sorted(samples, key=lambda sample: sample.asked_s):
        by_site.setdefault(sample.site, []).append(sample)
    stretches: list[Stretch] = []
    for site, answers in by_site.items():
        begun: float | None = None
        until = 0.0
        for answer in answers:
            if answer.writable:
                begun = answer.asked_s if begun is None else begun
                until = max(until, answer.answered_s)
            elif begun is not None:
                stretches.append((begun, until, site))
                begun = None
        if begun is not None:
            stretches.append((begun, until, site))
    return stretches


def most_overlapping(stretches: Iterable[Stretch]) -> int:
    """The most different sites whose stretches share an instant; ends that touch do share it."""
    events = sorted(
        event for begun, until, site in stretches for event in ((begun, 0, site), (until, 1, site))
    )
    open_: dict[str, int] = {}
    most = 0
    for _, ending, site in events:
        open_[site] = open_.get(site, 0) + (-1 if ending else 1)
        if not open_[site]:
            del open_[site]
        most = max(most, len(open_))
    return most


def overtaken(labelled: Iterable[RequestDone]) -> tuple[RequestDone, RequestDone] | None:
    """A pair (newer, older) that proves two primaries: ``older``, of a lower epoch and another site, was sent after
    ``newer`` had been acknowledged, and was acknowledged all the same. ``None``: no proof."""
    by_end = sorted(labelled, key=lambda write: write.ended_s)
    by_start = sorted(by_end, key=lambda write: write.decided_s)
    newest: RequestDone | None = None
    index = 0
    for write in by_start:
        while index < len(by_end) and by_end[index].ended_s < write.decided_s:
            if newest is None or by_end[index].epoch > newest.epoch:
                newest = by_end[index]
            index += 1
        if newest is not None and write.epoch < newest.epoch and write.served_by != newest.served_by:
            return newest, write
    return None
