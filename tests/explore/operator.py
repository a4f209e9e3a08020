"""The operator's run: the real ``move_steps`` of a planned move, one effect after the other, and stopped anywhere.

``world[RUN]``: place in the steps, whether the commit was judged on the record that is still the present one, source,
target, shutdown checkpoint, what the target had flushed after it. A run that stopped is one that never goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from failover.errors import FailoverError
from failover.model.observation import DatabaseFacts
from failover.model.record import Move
from failover.model.units import MemberId
from failover.planner import record_changes
from failover.planner.switchover_steps import LANE, move_steps
from tests.explore import world as w
from tests.explore.deciding import Decider
from tests.explore.moves import EVIDENCE, LOSSES, RESTORES, RUNS, START, Event, spent, stopped, written
from tests.explore.translate import ACCEPTED_S, BUDGET_S, member, record_of, small_of
from tests.explore.world import World
from tests.fakes.hosts import fleet

PLACE, CURRENT, SOURCE, TARGET, STOPPED_AT, RECEIVED = range(6)
NOT_OF_SAFETY = {"hold-gates", "await-drained", "await-primary", "release-gates", "await-protected"}
"""Steps that change neither the record nor a copy. Any other kind must be modelled below."""


@cache
def kinds(without: str = "") -> tuple[str, ...]:
    """What a planned move does, in the order of the real plan."""
    steps = move_steps(fleet(dns=()), source=member(0), target=member(1), epoch=1)
    found = [step.action.__struct_config__.tag for step in steps if step.lane == LANE]
    return tuple(str(kind) for kind in found if kind not in NOT_OF_SAFETY and kind != without)


def run_events(world: World, decider: Decider) -> Iterator[tuple[Event, World]]:
    """A run begins, goes on by one step, or takes its move back."""
    run, record = world[w.RUN], world[w.REC]
    if run is None:
        source = world[w.COPIES][w.site_of(record[w.PRIM])]
        if world[w.LEFT][RUNS] and record[w.SYNC] and source[w.ST] == w.PRIMARY and source[w.ID] == record[w.PRIM]:
            fresh = (0, False, record[w.PRIM], record[w.SYNC][0], -1, -1)
            begun = w.put(spent(world, RUNS), w.RUN, fresh)
            yield from _step(begun, decider)
        return
    yield from _step(world, decider)
    mine = record[w.MOVE] is not None and record[w.MOVE][0] == "switchover"
    if mine:
        cleared = small_of(record_changes.unclaimed(record_of(record), record_of(record).move.run))  # type: ignore[union-attr]
        yield ("run takes its move back",), w.put(written(world, cleared, by=-1), w.RUN, None)
    else:
        yield ("run gives up",), w.put(world, w.RUN, None)


def _step(world: World, decider: Decider) -> Iterator[tuple[Event, World]]:
    run = world[w.RUN]
    order = kinds("await-received" if "C fence" in decider.off else "stop-primary" if "C stop" in decider.off else "")
    kind = order[run[PLACE]]
    ahead = w.put(run, PLACE, run[PLACE] + 1)
    match kind:
        case "claim-move":
            after = _claimed(world[w.REC], run)
            if after is not None:
                yield ("run claims the move",), w.put(written(world, after, by=-1), w.RUN, ahead)
        case "stop-primary":
            yield from _stop(world, ahead)
        case "await-received":
            target = w.site_of(run[TARGET])
            copy = world[w.COPIES][target]
            if copy[w.ST] >= w.STANDBY and len(copy[w.WAL]) > run[STOPPED_AT]:
                noted = w.put(ahead, RECEIVED, len(copy[w.WAL]))
                yield ("run sees all received by", target), w.put(world, w.RUN, noted)
        case "commit-move":
            after = _committed(world, run)
            if after is None:
                return
            if not run[CURRENT]:
                yield ("run judges the commit",), w.put(world, w.RUN, w.put(run, CURRENT, True))
            else:
                yield ("run commits",), w.put(written(world, after, by=-1), w.RUN, None)
        case _:
            raise NotImplementedError(f"step {kind} of a planned move is not modelled")


def _stop(world: World, ahead: tuple[Any, ...]) -> Iterator[tuple[Event, World]]:
    """The source's keeper stops PostgreSQL for the run: cleanly, or hard when that takes too long."""
    site = w.site_of(ahead[SOURCE])
    alive, view, permit, paused = world[w.KEEPERS][site]
    record = world[w.REC]
    if not alive or paused is not None:
        return
    if view is not None and view[w.MOVE] is None:
        if not w.RECORD[world[w.NET]][site]:
            return
        view = None
    seen = record if view is None else view
    copy = world[w.COPIES][site]
    if seen[w.MOVE] is None or seen[w.MOVE][0] != "switchover" or seen[w.MOVE][2] != copy[w.ID]:
        return
    world = w.with_keeper(world, site, (alive, view, permit & ~START, None))
    if copy[w.ST] == w.PRIMARY:
        wal = (*copy[w.WAL], w.SHUTDOWN)
        down = stopped(w.with_copy(world, site, wal=wal), site)
        for other, standby in enumerate(world[w.COPIES]):
            if other != site and standby[w.UP] == site and w.streams(world, other):
                down = w.with_copy(down, other, wal=wal)
        yield ("run stops", site), w.put(down, w.RUN, w.put(ahead, STOPPED_AT, len(wal) - 1))
        yield ("run stops hard", site), w.put(stopped(world, site), w.RUN, world[w.RUN])
    elif copy[w.ST] == w.STOPPED and copy[w.WAL][-1] == w.SHUTDOWN and copy[w.WASP]:
        yield ("run finds stopped", site), w.put(world, w.RUN, w.put(ahead, STOPPED_AT, len(copy[w.WAL]) - 1))


@cache
def _claimed(record: tuple[Any, ...], run: tuple[Any, ...]) -> tuple[Any, ...] | None:
    move = Move(
        run="run1", kind="switchover", source=member(run[SOURCE]), target=member(run[TARGET]), budget_s=BUDGET_S
    )
    try:
        return small_of(record_changes.claimed(record_of(record), move))
    except FailoverError:
        return None


def _committed(world: World, run: tuple[Any, ...]) -> tuple[Any, ...] | None:
    timeline = w.history(world[w.COPIES][w.site_of(run[TARGET])][w.WAL])[-1][0]
    return _commit_of(world[w.REC], run, timeline)


@cache
def _commit_of(record: tuple[Any, ...], run: tuple[Any, ...], timeline: int) -> tuple[Any, ...] | None:
    received = DatabaseFacts(state="standby", position=max(run[RECEIVED], 0), timeline=timeline)
    try:
        return small_of(
            record_changes.committed(
                record_of(record), "run1", source=member(run[SOURCE]), target=member(run[TARGET]), received=received
            )
        )
    except FailoverError:
        return None


EARLIER = (1, 0, (1,), ((1, 0),), None, 0, None, ())
"""What a backup of the record says: a is primary, and b in sync."""


def judgement_events(world: World) -> Iterator[tuple[Event, World]]:
    """What only people decide: to leave behind what a primary acknowledged alone, to release its copy, and to bring
    back a record from a backup."""
    left, record = world[w.LEFT], world[w.REC]
    if left[LOSSES] and not record[w.ACCEPTED]:
        target = world[w.COPIES][1 - w.site_of(record[w.PRIM])]
        asked = _asked(record, target[w.ID]) if target[w.ST] != w.ABSENT else None
        if asked is not None:
            site = w.site_of(target[w.ID])
            yield ("operator accepts a loss and asks for", site), written(spent(world, LOSSES), asked, by=-1)
    for site in (0, 1):
        copy = world[w.COPIES][site]
        saved = world[w.KEEPERS][site][w.PERMIT] & EVIDENCE
        if record[w.ACCEPTED] and copy[w.ST] == w.STOPPED and saved:
            freed = _released(record, member(copy[w.ID]))
            if freed is not None:
                told = world[w.PROMISED] & ~(w.writes(copy[w.WAL]) & ~w.writes(world[w.COPIES][1 - site][w.WAL]))
                yield ("operator releases", site), w.put(written(world, freed, by=-1), w.PROMISED, told)
    if left[RESTORES]:
        yield ("the record comes back from a backup",), written(spent(world, RESTORES), EARLIER, by=-1)


@cache
def _asked(record: tuple[Any, ...], target: int) -> tuple[Any, ...] | None:
    move = Move(
        run="run2", kind="promote", source=member(record[w.PRIM]), target=member(target), budget_s=BUDGET_S,
        accept_loss_s=ACCEPTED_S,
    )  # fmt: skip
    before = record_of(record)
    if before.move is not None or before.alone is None:
        return None
    try:
        return small_of(record_changes.claimed(before, move))
    except FailoverError:
        return None


@cache
def _released(record: tuple[Any, ...], copy: MemberId) -> tuple[Any, ...] | None:
    before = record_of(record)
    return small_of(before.release(copy, "run3")) if before.quarantine(copy) is not None else None
