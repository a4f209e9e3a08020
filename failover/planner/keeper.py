"""The keeper's decisions: the record and local facts in, one action out. Pure; the agent only performs it.

Rules that code elsewhere must keep (safety A-C; each was broken by a measured loss before it was a rule):
 * names in force at a primary always cover ``record.sync``; a member leaves the record before it leaves the names (once
   no swap of this keeper can be on its way), and enters the names (proven, B2) before it enters the record;
 * PostgreSQL starts as primary only after a swap of the record by this very keeper (C2);
 * only a copy whose id is in ``record.sync`` may take ``primary`` (B1), and rolls forward alone once it is there;
 * a copy is touched only while it is stopped, in no ``sync``, and after a swap its keeper made since (B1);
 * a keeper writes ``sync`` and ``flushed_lsn`` while its site is primary, ``primary`` while it is the candidate (C1).
"""

from __future__ import annotations

from failover.model.record import AcceptedLoss, Record, Timeline
from failover.model.units import MemberId, site_of
from failover.planner.floor import too_old
from failover.planner.keeper_actions import (
    CreateDatabase,
    Follow,
    Idle,
    KeeperAction,
    KeeperFacts,
    Promote,
    ProveNames,
    Rejoin,
    Rename,
    SaveEvidence,
    Seed,
    SetNames,
    StartPrimary,
    StartStandby,
    StopDatabase,
    Swap,
)
from failover.planner.loss import accepted, alone
from failover.planner.verdict import DOWN, agreed_down

__all__ = (
    "CreateDatabase", "Follow", "Idle", "KeeperAction", "KeeperFacts", "Promote", "ProveNames", "Rejoin",
    "Rename", "SaveEvidence", "Seed", "SetNames", "StartPrimary", "StartStandby", "StopDatabase", "Swap", "decide",
)  # fmt: skip

PUBLISH = "publish how far sync members have flushed"
UNPROTECTED = "primary, unprotected: no sync member"
QUARANTINED = "quarantined, with acknowledged writes that nobody else has"
PUBLISH_ALONE = "publish how long this primary has acknowledged alone"
HEAD_START_S = 3.0
"""A primary that was stopped for a move opens again when the move ends without its commit. It looks dead until it has,
and a standby that took over then would have moved a fleet whose move was taken back."""


def decide(facts: KeeperFacts) -> KeeperAction:
    """The one next action. Total: it answers for every combination of facts, and an unknown never moves anything."""
    record = facts.record
    if record is None:
        return Idle(why="the record was not read yet")
    if reason := too_old(record, facts.epoch_floor):
        return Idle(why=reason, trouble=True)
    if record.primary_site == facts.site:
        return _as_record_primary(facts, record)
    return _as_other(facts, record)


def _move_is_live(facts: KeeperFacts, record: Record) -> bool:
    return record.move is not None and record.move.kind == "switchover" and facts.move_age_s < record.move.budget_s


def _has_head_start(facts: KeeperFacts, record: Record) -> bool:
    """The primary may be on its way back from a planned move that ended without its commit."""
    if record.move is not None and record.move.kind == "switchover":
        return facts.move_age_s < record.move.budget_s + HEAD_START_S
    return facts.move_ended_s is not None and facts.move_ended_s < HEAD_START_S


def _as_record_primary(facts: KeeperFacts, record: Record) -> KeeperAction:
    db = facts.db
    if db.state == "absent":
        if record.epoch == 0:
            return CreateDatabase(member=record.primary, why="a new fleet: the record lets this copy be born")
        return Idle(why="the record says primary, but the data directory is gone: promote the standby", trouble=True)
    if db.member != record.primary:
        return Idle(why=f"this copy is {db.member}, the record's primary is {record.primary}", trouble=True)
    if db.state == "starting":
        return Idle(why="PostgreSQL is starting")
    if db.state == "stopped" and _went_back(facts, record):
        return Rename(why="it lacks what it had flushed: its disk went back in time, and it gives itself up")
    if db.state == "stopped":
        return _start_primary(facts, record)
    if db.state == "standby":
        return _roll_forward(facts, record)
    return _keep_primary(facts, record)


def _went_back(facts: KeeperFacts, record: Record) -> bool:
    """A stopped copy that ends before what the record says every copy in step has flushed. Started under its old id it
    would write other records in the place of those, or count as a copy that holds them."""
    return record.epoch > 0 and facts.db.position < record.flushed_lsn


def _start_primary(facts: KeeperFacts, record: Record) -> KeeperAction:
    if _move_is_live(facts, record):
        return _wait_as_standby(facts, record)
    if _must_promote(facts, record):
        # The record moved here, but this copy never left recovery: it must promote, or one timeline gets two histories.
        return StartStandby(upstream="", names=record.sync, why="to promote: the record's timeline is newer")
    if facts.start_permit == record.revision:
        return StartPrimary(names=record.sync, why="the record says primary and this keeper's swap is in it")
    # A paused run that wakes now finds another revision and its commit is refused (safety C2).
    return Swap(
        expected_revision=record.revision,
        new=record.next(move=None),
        permits_start=True,
        why="bump the record before starting as primary",
    )


def _must_promote(facts: KeeperFacts, record: Record) -> bool:
    """The record moved here and this copy never left recovery: its timeline is older than the record's newest."""
    return bool(record.timelines) and facts.db.timeline < record.timelines[-1].tli and record.epoch > 0


def _wait_as_standby(facts: KeeperFacts, record: Record) -> KeeperAction:
    """Stopped for a live move: come up at once as a standby of the target, which nobody's commit then waits for.

    It acknowledges nothing whatever becomes of the move. If that ends without its commit, this copy is stopped once
    more and starts as primary on its own timeline; promoted it is never, or one number would be used twice (C5).
    """
    target = record.move.target if record.move is not None else ""
    if not facts.db.clean_shutdown or not target:
        return Idle(why="stopped for a move that is still live")
    return StartStandby(upstream=site_of(MemberId(target)), names=(target,), why="stopped for a move: ready to follow")


def _roll_forward(facts: KeeperFacts, record: Record) -> KeeperAction:
    db = facts.db
    if record.timelines and db.timeline >= record.timelines[-1].tli:
        # Stopped for a move that ended without its commit, or started as a standby by somebody. Promoted, it would take
        # a timeline's number that the record does not know of, and that another copy may have by now (C5); started as
        # primary it stays on its own.
        if _move_is_live(facts, record):
            return Idle(why="waiting as a standby for the end of a move")
        return StopDatabase(why="it runs as a standby on its own timeline: it starts again as primary", clean=True)
    if db.names != record.sync:
        return SetNames(names=record.sync, why="names first, then promote")
    if db.names_proven != record.sync:
        return ProveNames(names=record.sync, why="show the names in force before the promotion (B2)")
    return Promote(timelines=record.timelines, why=f"the record says primary in epoch {record.epoch}")


def _keep_primary(facts: KeeperFacts, record: Record) -> KeeperAction:
    db = facts.db
    missing = [member for member in record.sync if member not in db.names]
    if missing:
        return SetNames(names=(*db.names, *missing), why=f"{missing[0]} is sync in the record but not in the names")
    if record.epoch == 0:
        born = record.next(
            epoch=1,
            system_identifier=db.system_identifier,
            timelines=(Timeline(tli=db.timeline, fork_lsn=0),),
            alone=alone(facts),
        )
        return Swap(expected_revision=record.revision, new=born, why="the database is born")
    if _move_is_live(facts, record):
        return Idle(why=f"standing down for run {record.move.run if record.move else ''}")
    if record.move is not None and record.move.kind == "switchover":
        ended = record.next(move=None)
        return Swap(expected_revision=record.revision, new=ended, why="the move's budget is over: take it out")
    known = tuple(line for line in record.timelines if line.tli < db.timeline)
    true_lines = (*known, Timeline(tli=db.timeline, fork_lsn=db.fork_lsn))
    if true_lines != record.timelines and len(true_lines) >= len(record.timelines):
        # The swap that promoted could only guess the fork; a rewind is judged against it, so put in the true one.
        grown = record.next(timelines=true_lines)
        return Swap(expected_revision=record.revision, new=grown, why="record the timeline this primary is on")
    return _keep_sync(facts, record)


def _keep_sync(facts: KeeperFacts, record: Record) -> KeeperAction:
    """Who is sync: out of the record before out of the names, into the names (proven) before into the record."""
    db = facts.db
    for member in record.sync:
        if member in facts.lost:
            return _drop(facts, record, member)
    extra = tuple(name for name in db.names if name not in record.sync)
    if any(name in facts.lost for name in extra):
        return _narrow(facts, record, extra[0])
    if db.names_proven != db.names:
        return ProveNames(names=db.names, why="show the names in force (B2)")
    ready = tuple(name for name in extra if name in facts.caught_up)
    if ready:
        joined = record.next(sync=(*record.sync, *(MemberId(name) for name in ready)), alone=None)
        return Swap(expected_revision=record.revision, new=joined, why=f"{ready[0]} holds every acknowledged write")
    if extra:
        return Idle(why=f"waiting for {extra[0]} to catch up")
    for replica in db.replicas:
        name = replica.application_name
        if replica.state == "streaming" and name not in db.names and name in facts.copies.values():
            return SetNames(names=(*db.names, name), why=f"{name} streams: commits wait for it from now on")
    if facts.publish_flush > record.flushed_lsn:
        published = record.next(flushed_lsn=facts.publish_flush)
        return Swap(expected_revision=record.revision, new=published, why=PUBLISH)
    if facts.alone_s > 0.0 and not record.sync:
        published = record.next(alone=alone(facts, record.alone))
        return Swap(expected_revision=record.revision, new=published, why=PUBLISH_ALONE)
    return Idle(why="primary, protected" if record.sync else UNPROTECTED)


def _narrow(facts: KeeperFacts, record: Record, gone: str) -> KeeperAction:
    """Fewer names, but only once the record is past every swap of ours: one that listed ``gone`` and was never answered
    may be in it already, or arrive later; from an older revision it never can."""
    if record.revision <= facts.sent_revision:
        return Swap(
            expected_revision=record.revision,
            new=record.next(),
            why=f"bump the record before {gone} leaves the names: an earlier swap may still arrive",
        )
    return SetNames(names=record.sync, why=f"{gone} is not sync in the record any more")


def _drop(facts: KeeperFacts, record: Record, member: str) -> KeeperAction:
    """Degrade only with the witness's consent: a dying provider cuts its own links first (safety B4)."""
    site = site_of(member)
    own_provider = facts.providers.get(facts.site, "")
    involved = (own_provider, facts.providers.get(site))
    others = tuple(opinion for opinion in facts.opinions.get(site, ()) if opinion.provider not in involved)
    replaced = facts.copies.get(site, member) != member
    if facts.on_standby_loss != "degrade" and not replaced:
        return Idle(why=f"{member} is lost and the fleet stalls rather than write unprotected", trouble=True)
    if not replaced and not any(opinion.verdict == DOWN for opinion in others):
        return Idle(why=f"{member} does not answer here, but no witness finds it gone: stall", trouble=True)
    kept = tuple(name for name in record.sync if name != member)
    new = record.next(sync=kept, alone=None if kept else alone(facts, held_by=(MemberId(member),)))
    return Swap(expected_revision=record.revision, new=new, why=f"{member} is gone: out of sync")


def _as_other(facts: KeeperFacts, record: Record) -> KeeperAction:
    db, upstream = facts.db, record.primary_site
    quarantine = record.quarantine(db.member) if db.state != "absent" else None
    if quarantine is not None:
        return _quarantined(facts, record, quarantine)
    if db.state == "absent":
        if record.epoch == 0 or not facts.upstream_ready:
            return Idle(why=f"waiting for the primary at {upstream} to seed from")
        return Seed(upstream=upstream, why="no copy here: base backup under a new member id")
    if db.state == "primary":
        return StopDatabase(why=f"fenced: the record says {record.primary}")
    if db.state == "starting":
        return Idle(why="PostgreSQL is starting")
    preset = (str(record.primary),)
    if db.state == "stopped":
        return _start_other(facts, record, preset)
    taken = _candidate(facts, record)
    if taken is not None:
        return taken
    if db.upstream != upstream:
        return Follow(upstream=upstream, why=f"the record's primary is at {upstream}")
    if facts.rejoin_failed and not db.streaming and facts.upstream_ready:
        # Stopped first: while it runs it may stream again and be counted on at any moment.
        return StopDatabase(why="it cannot follow the primary: a base backup takes its place")
    if db.names != preset:
        return SetNames(names=preset, why="ready to be promoted with the present primary as sync member")
    if db.names_proven != preset:
        return ProveNames(names=preset, why="show the names in force before anybody may promote this copy (B2)")
    return Idle(why=f"standby of {upstream}" + ("" if db.streaming else ", not streaming"))


def _start_other(facts: KeeperFacts, record: Record, preset: tuple[str, ...]) -> KeeperAction:
    db, upstream = facts.db, record.primary_site
    fork = next((line.fork_lsn for line in record.timelines if line.tli > db.timeline), None)
    if db.member in record.sync and _went_back(facts, record):
        return Rename(why="it lacks what it had flushed: its disk went back in time, so it is another copy now")
    if _went_back(facts, record):
        # Never started and never rewound: under its old id it would pass for the copy that had caught up, and recovery
        # before a rewind writes where the primary has other records, so that pg_rewind finds nothing to do (C5).
        return _rejoin(facts, record, rewind=False)
    if not db.was_primary and facts.rejoin_failed and facts.upstream_ready:
        return _rejoin(facts, record, rewind=False)
    if not db.was_primary:
        return StartStandby(upstream=upstream, names=preset, why=f"standby of {upstream}")
    if fork is not None and db.clean_shutdown and db.checkpoint_lsn < fork:
        # Its last record is the shutdown checkpoint and the new primary has it: nothing to rewind.
        return StartStandby(upstream=upstream, names=preset, why="stopped cleanly before the fork")
    return _rejoin(facts, record, rewind=not facts.rejoin_failed)


def _quarantined(facts: KeeperFacts, record: Record, loss: AcceptedLoss) -> KeeperAction:
    """This copy holds acknowledged writes that nobody else has: it stays stopped, and as it is, until an operator
    releases it (safety C6)."""
    if facts.db.state in ("primary", "standby"):
        return StopDatabase(why=f"fenced and quarantined: the record says {record.primary}")
    if facts.db.state == "starting":
        return Idle(why="PostgreSQL is starting")
    if facts.evidence_saved:
        return Idle(why=f"{QUARANTINED}: failover rejoin {facts.site}", trouble=True)
    if not facts.upstream_ready:
        return Idle(why=f"{QUARANTINED}; where {record.primary} forked is not sure yet", trouble=True)
    return SaveEvidence(fork_lsn=_fork(facts, record), why=f"it acknowledged alone in epoch {loss.epoch - 1}")


def _fork(facts: KeeperFacts, record: Record) -> int:
    return next((line.fork_lsn for line in record.timelines if line.tli > facts.db.timeline), 0)


def _rejoin(facts: KeeperFacts, record: Record, *, rewind: bool) -> KeeperAction:
    if any(site_of(member) == facts.site for member in record.sync):
        return Idle(why="waiting for the primary to take the old id out of sync before this copy is touched (B1)")
    if not facts.upstream_ready:
        return Idle(why=f"waiting for the primary at {record.primary_site} to rejoin it")
    if not 0 < facts.own_revision <= record.revision:
        # The record read last may be old, and the primary's keeper about to add this copy by what it saw a while ago.
        # Its swap is refused after this one, and it looks again at a copy that is stopped.
        return Swap(
            expected_revision=record.revision,
            new=record.next(),
            why="bump the record before this copy is touched: nobody counts on it from here on",
        )
    fork, how = _fork(facts, record), "rewind" if rewind else "base backup"
    return Rejoin(upstream=record.primary_site, fork_lsn=fork, rewind=rewind, why=f"former primary: {how}")


def _candidate(facts: KeeperFacts, record: Record) -> KeeperAction | None:
    """Take ``primary``, or ``None`` when nothing asks for it. Every guard holds for an operator's request too."""
    db, suspect = facts.db, record.primary_site
    asked = record.move is not None and record.move.kind == "promote" and record.move.target == db.member
    if facts.promote != "auto" and not asked:
        return None
    if _move_is_live(facts, record) or (_has_head_start(facts, record) and not asked):
        return None
    if not agreed_down(facts.opinions.get(suspect, ()), suspect_provider=facts.providers.get(suspect, "")):
        return None
    loss: tuple[AcceptedLoss, ...] = ()
    if db.member not in record.sync:
        loss = accepted(facts, record) if asked else ()
        if not loss:
            return Idle(why=f"{suspect} is down, but {db.member} is not in sync: it may lack writes", trouble=True)
    if db.position < record.flushed_lsn:
        return Idle(why="this copy is behind what it once acknowledged: its disk went back in time", trouble=True)
    if db.system_identifier != record.system_identifier:
        return Idle(why="this copy belongs to another database", trouble=True)
    newest = max((line.tli for line in record.timelines), default=db.timeline)
    new = record.next(
        epoch=record.epoch + 1,
        primary=MemberId(db.member),
        sync=(),
        move=None,
        timelines=(*record.timelines, Timeline(tli=max(newest, db.timeline) + 1, fork_lsn=db.position)),
        alone=alone(facts),
        accepted=(*record.accepted, *loss),
    )
    return Swap(expected_revision=record.revision, new=new, why=f"two observers find {suspect} down")
