"""What a promotion would lose, stated before it happens, and what it has lost, said after. Pure.

Every figure is an upper bound or it is not known; nothing here guesses low. What a cut-off primary that nobody sees
goes on to acknowledge is bounded by time only: until now.
"""

from __future__ import annotations

import msgspec

from failover.model.observation import AgentState, DatabaseFacts, FleetSeen
from failover.model.record import Record
from failover.model.units import MemberId, format_duration, site_of
from failover.planner import preflight

PUBLISHED_EVERY_S = 2.0
_LEAST_BYTES = 1024**2
"""A primary writes on between its last publication and its end; this much at least is added for it."""


class Exposure(msgspec.Struct, frozen=True, kw_only=True):
    """At most this much of what was acknowledged is not on the copy. ``protected``: nothing, by construction.
    ``None``: not known."""

    protected: bool
    seconds_s: float | None
    size_bytes: int | None

    @property
    def text(self) -> str:
        """For people."""
        if self.protected:
            return "nothing: protected"
        if self.seconds_s is None:
            return "not known"
        size = "an unknown amount" if self.size_bytes is None else f"at most {self.size_bytes / 1e6:.1f} MB"
        return f"what was acknowledged alone in at most {format_duration(self.seconds_s)}, {size} of WAL"


def exposure(record: Record, seen: FleetSeen, site: str) -> Exposure:
    """If ``site`` took over now."""
    if record.primary_site == site or any(site_of(member) == site for member in record.sync):
        return Exposure(protected=True, seconds_s=0.0, size_bytes=0)
    alone = record.alone
    if record.sync or alone is None:
        return Exposure(protected=False, seconds_s=None, size_bytes=None)
    states = [one.state for one in seen.sites if one.state is not None]
    known = [state.record_known_s for state in states if state.record is not None and _same(state.record, record)]
    # Two clocks that cannot be compared with the primary's: whichever says more.
    since = max(0.0, seen.at_unix_s - alone.at_unix_s, *known)
    target = preflight.answers(seen, site)
    size = None if target is None else _size(record, states, target.database, since)
    return Exposure(protected=False, seconds_s=round(alone.seconds_s + since, 3), size_bytes=size)


def _same(mine: Record, other: Record) -> bool:
    return mine.revision == other.revision


def _size(record: Record, states: list[AgentState], target: DatabaseFacts, since: float) -> int | None:
    """Known, and what it may have written after that was known, at twice its own pace."""
    alone = record.alone
    if alone is None:
        return None
    seen_at = [probe.position for state in states for probe in state.probes if probe.site == record.primary_site]
    known = max(alone.written_lsn, *seen_at, 0)
    pace = (known - alone.from_lsn) / max(alone.seconds_s, 1.0)
    return max(0, known - target.position) + max(_LEAST_BYTES, round(2 * pace * min(since, PUBLISHED_EVERY_S)))


def told_after(source: MemberId, target: MemberId, seen: FleetSeen) -> tuple[str, ...]:
    """What the promotion of ``target`` over ``source`` has lost, as far as it is known when it ends."""
    record = seen.record
    if record is None or record.primary != target:
        return ()
    if not any((loss.source, loss.target) == (source, target) for loss in record.accepted):
        return (f"nothing: {target} had every write that {source} acknowledged",)
    site = site_of(source)
    state = preflight.answers(seen, site)
    if state is not None and state.kept is not None and state.database.member == source:
        return (f"{state.kept.commits} commits of {source}: failover certificate show {state.kept.id}",)
    return (f"what {source} acknowledged alone; counted when it is back: failover certificate list",)
