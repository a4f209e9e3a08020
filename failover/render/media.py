"""Media as text. Builds text; ``render.out`` prints it."""

from __future__ import annotations

from failover.model.media import TOLD, MediaReport, StoreCounts, Trouble
from failover.render.text import table

_MEANS = {
    "lost": "no store that answers has it",
    "damaged": "other bytes than were stored",
    "differs": "the copies differ",
    "unread": "could not be read",
    "not-copied": "could not be copied",
}


def media_text(report: MediaReport) -> str:
    """The table, what it means, and at most ``TOLD`` objects by name."""
    head = ("STORE", "PROVIDER", "OBJECTS", "BYTES", "MISSING", *_columns(report.verb))
    rows = [head, *(_row(one, report.verb) for one in report.stores)]
    if report.index_site:
        told = f"{report.expected} referred to by the database at {report.index_site}, "
        extra = f", {report.unreferenced} held but not referred to"
    else:
        told, extra = "", ""
    lines = [f"{told}{report.in_step} the same in every store that answers{extra}; {report.seconds:.1f} s\n"]
    lines += [f"{one.store} was not read: {one.error}\n" for one in report.stores if one.error]
    lines += [f"{note}\n" for note in report.notes]
    lines += [f"{kind}: {count} ({_MEANS[kind]})\n" for kind, count in sorted(report.trouble_counts.items())]
    lines += [_trouble(one) for one in report.troubles]
    if sum(report.trouble_counts.values()) > TOLD:
        lines.append(f"  and {sum(report.trouble_counts.values()) - TOLD} more\n")
    if report.missing_list:
        lines.append(f"what cannot be served now, signed: {report.missing_list}\n")
    return table(rows) + "".join(lines)


def _columns(verb: str) -> tuple[str, ...]:
    return {"sync": ("COPIED", "REPAIRED"), "verify": ("READ", "DAMAGED")}.get(verb, ())


def _row(one: StoreCounts, verb: str) -> tuple[str, ...]:
    if one.error:
        return (one.store, one.provider, *("unknown" for _ in range(3 + len(_columns(verb)))))
    more = {"sync": (one.copied, one.repaired), "verify": (one.read, one.damaged)}.get(verb, ())
    return (one.store, one.provider, *(str(count) for count in (one.objects, one.bytes, one.missing, *more)))


def _trouble(one: Trouble) -> str:
    where = f" in {', '.join(one.stores)}" if one.stores else ""
    good = f"; good in {', '.join(one.good)}" if one.good else ""
    why = f": {one.why}" if one.why else ""
    return f"  {one.kind} {one.key}{where}{why}{good}\n"
