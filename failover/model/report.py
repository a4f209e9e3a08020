"""The report of a drill, ``failover/drill/v1``: exactly the fields other programs rely on, and the series it draws.

Fields are only ever added. ``None`` means "not measured" or "does not apply to this kind" and is never read as good.
Instants inside a report are seconds since ``started_at``.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

SCHEMA = "failover/drill/v1"


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of every finished request, failed ones too, from the scheduled instant; nearest rank."""

    p50: float
    p99: float
    max: float


class LoadFigures(msgspec.Struct, frozen=True, kw_only=True):
    """``errors``: requests that failed for good, after retries. ``retried``: attempts that failed and were tried
    again. ``first_attempt_failed``: requests whose first attempt failed, i.e. the errors a client that never
    retries would have seen. ``ambiguous``: errors of writes that may have been carried out all the same."""

    offered_per_s: float
    requests: int
    acknowledged: int
    errors: int
    retried: int
    latency_ms: Latency
    first_attempt_failed: int = 0
    ambiguous: int = 0


class LedgerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger against the rows of the final primary. ``unknown``: rows of this run that it never sent."""

    acknowledged_writes: int
    lost: int
    duplicated: int
    unacknowledged_but_present: int
    unknown: int = 0


class WritePause(msgspec.Struct, frozen=True, kw_only=True):
    """Gaps between acknowledged writes over all clients. ``count``: gaps of ``threshold_ms`` or more."""

    longest: float
    p99: float
    count: int
    threshold_ms: float = 100.0


class ReportedExposure(msgspec.Struct, frozen=True, kw_only=True):
    """What was said could be lost before the move, and what was lost."""

    stated_before_bytes: int | None
    stated_before_s: float | None
    lost_writes: int | None


class PrimaryChange(msgspec.Struct, frozen=True, kw_only=True):
    """The site that took writes."""

    before: str
    after: str


class EpochChange(msgspec.Struct, frozen=True, kw_only=True):
    """The record's epoch."""

    before: int | None
    after: int | None


class DeadSide(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts to reach the killed provider after the fault, by anything of ours: trapped and counted."""

    calls: int = 0
    log: tuple[str, ...] = ()


class OldSide(msgspec.Struct, frozen=True, kw_only=True):
    """What the side that must not serve any more answered when it was asked directly, at its edge and at the app's own
    ports. ``stale_reads``: answers without a write that was acknowledged before the read was sent. ``writes_alone``:
    writes it acknowledged that the final primary does not have. ``asked`` 0: nobody asked, the rest means nothing.

    Where another side took over from one that was cut off: ``marks_elsewhere``, writes that were acknowledged between
    the other side's first and the end of the cut, each of which a stale read would have lacked; ``believed_for_s``,
    from the cut to the sending of the last read that the old side answered from its own data (0: it answered none)."""

    asked: int = 0
    answered: int = 0
    fresh_reads: int = 0
    stale_reads: int = 0
    writes_acknowledged: int = 0
    writes_alone: int = 0
    marks_elsewhere: int | None = None
    believed_for_s: float | None = None
    log: tuple[str, ...] = ()


class DnsFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Authoritative servers that answer right at the end, of those alive, and when the last one did."""

    servers_correct: int
    servers_alive: int
    seconds_to_correct: float | None


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """One stretch of the drill, in seconds since its start."""

    name: str
    started_s: float
    seconds: float


class StreamFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Streams held open all the time. ``ended``: by the other side, in a move or else, and opened again; ``refused``:
    openings that failed; ``longest_away_s``: the longest any of them was not open."""

    held: int
    ended: int
    refused: int
    open_at_end: int
    longest_away_s: float


class UploadFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Slow uploads, each sent once."""

    sent: int
    acknowledged: int
    failed: int
    longest_s: float


class Slowed(msgspec.Struct, frozen=True, kw_only=True):
    """Links between sites under a delay. ``stalls``: how often one direction between two sites stood still, for
    ``stall_s`` each; ``seconds``: how long the links were slow."""

    rtt_ms: float
    seconds: float
    packets: int
    stalls: int
    stall_s: float


class Measure(StrEnum):
    """Names of the measures every drill may have an objective for. An objective with one of these names also decides
    whether the figure of that name on the report's page is shown as good or bad."""

    LOST = "acknowledged writes lost"
    DUPLICATED = "writes stored twice"
    ERRORS = "client errors after retries"
    ERRORS_UNRETRIED = "client errors without retries"
    RECOVERY = "fault to first acknowledged write"
    PAUSE = "longest write pause"
    WRITABLE = "most sites writable at once"
    DEAD_CALLS = "calls to the dead side"
    REPROTECTED = "protected again"
    STALE_READS = "stale reads by the old side"
    WRITES_ALONE = "writes taken by the old side alone"
    MARKS = "writes a stale read would have lacked"
    BELIEVED = "old side served after the cut"
    WOKEN_MOVES = "moves by a command that slept"
    UNASKED_MOVES = "moves nobody asked for"
    UNPROTECTED = "seconds unprotected"


class Objective(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and what was measured. Not measured is not held. ``relation``: "<=", "=" or ">="."""

    name: str
    limit: float
    measured: float | None
    held: bool
    unit: str = ""
    relation: str = "<="


class DrillReport(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. ``fault_s``: when the fault (or the order to move) came, in seconds since the start; ``remarks``:
    sentences a reader must see beside the figures (a starved generator, a ledger cut short). ``unprotected_s``: how
    long under load no second provider had what was acknowledged; "0 lost" is promised for the rest of the time.
    ``promise``: what the app's class lets a plan promise; ``streams`` and ``uploads`` where the workload held any."""

    schema: str = SCHEMA
    id: str
    kind: str
    site: str
    seed: int
    started_at: str
    versions: dict[str, str]
    load: LoadFigures
    ledger: LedgerFigures
    write_pause_ms: WritePause
    recovery_time_s: float | None
    detection_s: float | None
    exposure: ReportedExposure
    primary: PrimaryChange
    epoch: EpochChange
    writable_at_once: int | None
    dead_side: DeadSide
    dns: DnsFigures
    phases: tuple[Phase, ...]
    reprotected_s: float | None
    objectives: tuple[Objective, ...]
    held: bool
    fault_s: float | None = None
    remarks: tuple[str, ...] = ()
    unprotected_s: float | None = None
    old_side: OldSide = OldSide()
    promise: str = ""
    streams: StreamFigures | None = None
    uploads: UploadFigures | None = None
    slowed: Slowed | None = None


class LatencyPoint(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One request in the latency plot."""

    at_s: float
    latency_ms: float
    write: bool
    acknowledged: bool


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """An instant worth a line through every plot."""

    name: str
    at_s: float


class DrillSeries(msgspec.Struct, frozen=True, kw_only=True):
    """What the plots draw: counts per bucket of ``bucket_s`` from the start of the drill, and thinned points."""

    bucket_s: float
    acknowledged_writes: tuple[int, ...]
    failed_attempts: tuple[int, ...]
    latency: tuple[LatencyPoint, ...]
    marks: tuple[Mark, ...] = ()


def at_most(name: str, *, limit: float, measured: float | None, unit: str = "") -> Objective:
    """Held when measured and not above ``limit``."""
    held = measured is not None and measured <= limit
    return Objective(name=name, limit=limit, measured=measured, held=held, unit=unit)


def at_least(name: str, *, limit: float, measured: float | None, unit: str = "") -> Objective:
    """Held when measured and not below ``limit``."""
    held = measured is not None and measured >= limit
    return Objective(name=name, limit=limit, measured=measured, held=held, unit=unit, relation=">=")


def exactly(name: str, *, limit: float, measured: float | None, unit: str = "") -> Objective:
    """Held when measured and equal to ``limit``: for counts."""
    held = measured is not None and measured == limit
    return Objective(name=name, limit=limit, measured=measured, held=held, unit=unit, relation="=")
