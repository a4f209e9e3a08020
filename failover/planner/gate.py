"""May the app's processes at this site run transactions now, and against which site? Pure (safety A1, E1, E2)."""

from __future__ import annotations

import math

import msgspec

from failover.model.observation import DatabaseFacts
from failover.model.record import Record


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A run's hold. It is over by itself: after ``until_s`` (CLOCK_BOOTTIME here), or when the epoch it was made for
    is past, because then the move it served is committed.

    ``heard_s``: when the run last spoke to this host (CLOCK_BOOTTIME). ``patience_s``: so long it may say nothing in
    the middle of its move; then the old primary's keeper takes the move back (``abandoned``)."""

    run: str
    epoch: int
    until_s: float
    heard_s: float = 0.0
    patience_s: float = math.inf


def abandoned(hold: Hold | None, run: str, *, now_s: float) -> bool:
    """Has ``run`` closed the gate here and then fallen silent? Its commit may still come: whoever takes the move back
    does it by a swap of the record, and only one of the two passes (safety C2)."""
    return hold is not None and hold.run == run and now_s - hold.heard_s > hold.patience_s


class GateInputs(msgspec.Struct, frozen=True, kw_only=True):
    """``evidence_at_s``: newest instant for which this site knows that no other primary could have acknowledged: a
    linearizable record read, or replies of every sync member. ``serving_peer``: epoch in which the record's primary
    site (when it is another one) says it serves."""

    site: str
    record: Record | None
    db: DatabaseFacts
    evidence_at_s: float | None
    fresh_s: float
    recovered_lsn: int | None
    serving_peer_epoch: int = -1
    hold: Hold | None = None
    now_s: float


class GateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """What every app process of the site is told."""

    state: str  # "open" | "hold"
    primary: str
    epoch: int
    fresh_until_s: float
    why: str


def believed_for_s(*, fresh_s: float, takeover_s: float, doubted: bool) -> float:
    """How long evidence counts (E1). A sync member that does not answer a probe may be finding this site down, and may
    serve as soon as it has failed to reach it for ``takeover_s``: then no evidence from before counts for longer."""
    return min(fresh_s, takeover_s) if doubted else fresh_s


def serves(facts: GateInputs) -> str:
    """Why this site's own database must not be used yet, or ``""`` when it serves (A1).

    After any start as primary nothing may be read or written until every sync member has flushed past the end of
    recovery: a row that waits for its standby is visible after a restart, and a retry would acknowledge it alone.
    """
    record, db = facts.record, facts.db
    if record is None or record.primary_site != facts.site:
        return "not the record's primary"
    if db.state != "primary" or db.member != record.primary:
        return f"PostgreSQL is {db.state} here"
    if any(member not in (db.names_proven or ()) for member in record.sync):
        return "sync names are not in force yet"
    if facts.recovered_lsn is None:
        return "end of recovery not known yet"
    flushed = {replica.application_name: replica.flush_lsn for replica in db.replicas}
    for member in record.sync:
        if flushed.get(member, -1) < facts.recovered_lsn:
            return f"{member} has not flushed past the end of recovery yet"
    return ""


def order(facts: GateInputs) -> GateOrder:
    """The order for now. Unknown closes: a gate that is open by mistake serves stale reads."""
    record = facts.record
    if record is None:
        return GateOrder(state="hold", primary="", epoch=0, fresh_until_s=0.0, why="the record was not read yet")
    site, epoch = record.primary_site, record.epoch

    def hold(why: str) -> GateOrder:
        return GateOrder(state="hold", primary=site, epoch=epoch, fresh_until_s=0.0, why=why)

    if facts.hold is not None and facts.hold.epoch == epoch and facts.now_s < facts.hold.until_s:
        return hold(f"held by run {facts.hold.run}")
    if facts.evidence_at_s is None or facts.now_s - facts.evidence_at_s >= facts.fresh_s:
        return hold("no fresh evidence of who is primary")
    if site == facts.site:
        reason = serves(facts)
        if reason:
            return hold(reason)
    elif facts.serving_peer_epoch != epoch:
        return hold(f"{site} does not say yet that it serves epoch {epoch}")
    fresh_until_s = facts.evidence_at_s + facts.fresh_s
    return GateOrder(state="open", primary=site, epoch=epoch, fresh_until_s=fresh_until_s, why="open")
