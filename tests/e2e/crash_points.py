"""Crash points of moves: a run struck at one of its instants, then gone on with, and what must be true afterwards.

The points come from the plan itself. Nothing here knows a step by name, so a new step is covered as it is.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from failover.engine.strike import CLI, STRUCK, VARIABLE, points, undo_points
from failover.model.observation import FleetSeen
from failover.model.plan import Plan
from failover.model.record import Record
from failover.operations.carry_out import propose
from failover.operations.inspect import look
from failover.operations.verbs import Wish
from failover.operations.wired import Wired
from tests.e2e.harness import LocalFleet, Ran
from tests.e2e.load import wired_of

VICTIMS = (CLI, "alpha", "beta", "gamma", "alpha,beta,gamma,cli")
"""The command, each agent, and all of them at one instant."""
THEN = ("resume", "undo", "alone")
SETTLE_S = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """``at``: STEP/PHASE. ``then``: what happens to a run whose command died ("" when it goes on living).
    ``committing``: -1 before the commit step's own instants, 0 at one of them, 1 after."""

    verb: str
    at: str
    victims: str
    then: str
    committing: int

    def __str__(self) -> str:
        return f"{self.verb} {self.at} kills {self.victims}{f', then {self.then}' if self.then else ''}"


@dataclass(slots=True, kw_only=True)
class Told:
    """How one point ended. ``reached`` false: the step had nothing to do there, so nobody died."""

    point: Point
    reached: bool
    statuses: list[int]
    seconds: float
    wrong: list[str] = field(default_factory=list)


def enumerate_points(plan: Plan, *, thens: tuple[str, ...] = THEN) -> tuple[Point, ...]:
    """Every point of ``plan``, with every victim and every one of ``thens`` to go on."""
    steps = [step.id for step in plan.steps]
    commit = next((index for index, step in enumerate(plan.steps) if step.commit), len(steps))
    found = []
    for at, victims in itertools.product(points(plan), VICTIMS):
        index = steps.index(at.split("/")[0])
        for then in thens if CLI in victims.split(",") else ("",):
            committing = (index > commit) - (index < commit)
            found.append(Point(verb=plan.verb, at=at, victims=victims, then=then, committing=committing))
    return tuple(found)


def enumerate_undo(plan: Plan) -> tuple[Point, ...]:
    """Every point at which taking ``plan`` back may be struck, with every victim."""
    pairs = itertools.product(undo_points(plan), VICTIMS)
    return tuple(Point(verb="undo", at=at, victims=victims, then="", committing=-1) for at, victims in pairs)


def strike_undo(fleet: LocalFleet, point: Point, last: str, *words: str) -> Told:
    """Stop the command right before its commit step (``last`` is the step before), take it back, be struck in that,
    and take it back again: a run whose undo had begun is only ever undone further."""
    before = _runs(fleet)
    ran = run_struck(fleet, f"{last}/sent:{CLI}", *words)
    told = Told(point=point, reached=False, statuses=[ran.status], seconds=0.0)
    run = next(name for name in _runs(fleet) if name not in before)
    told.statuses.append(run_struck(fleet, f"{point.at}:{point.victims}", "resume", run, "--undo").status)
    if told.statuses[-1] != 5:
        told.statuses.append(fleet.run("resume", run, "--undo", status=None).status)
    told.wrong += [] if told.statuses[-1] == 5 else [f"taking it back ended with {told.statuses}"]
    told.reached = len(told.statuses) > 2 or (point.victims != CLI and _struck(fleet, run, point.victims))
    return told


def run_struck(fleet: LocalFleet, script: str, *words: str) -> Ran:
    """The command, to be struck as ``script`` says."""
    return _run(fleet, {VARIABLE: script}, *words)


def sample(found: tuple[Point, ...], count: int, *, seed: int) -> list[Point]:
    """``count`` of them (all when there are no more), by chance and of every verb alike, in the order of the plan."""
    chance = random.Random(seed)
    verbs = list(dict.fromkeys(point.verb for point in found))
    left = {verb: [index for index, point in enumerate(found) if point.verb == verb] for verb in verbs}
    chosen: list[int] = []
    while len(chosen) < min(count, len(found)):
        for verb in verbs:
            if left[verb] and len(chosen) < count:
                chosen.append(left[verb].pop(chance.randrange(len(left[verb]))))
    return [found[index] for index in sorted(chosen)]


def plan_of(wired: Wired, wish: Wish) -> Plan:
    """The plan as it would be now."""
    plan = propose(wired, wish)
    assert isinstance(plan, Plan), plan
    return plan


def strike(
    fleet: LocalFleet, point: Point, *words: str, run: str = "", again: tuple[str, ...] = (), script: str = ""
) -> Told:
    """Run the command, let it be struck, go on as the point says. What is wrong with the run itself is in ``wrong``.
    ``run``: the command goes on with that one. ``again``: what the same again is, if not ``words``. ``script``: more
    strikes than this one."""
    began = time.monotonic()
    before = _runs(fleet)
    ran = run_struck(fleet, script or f"{point.at}:{point.victims}", *words)
    told = Told(point=point, reached=False, statuses=[ran.status], seconds=0.0)
    killed = ran.status == -signal.SIGKILL
    run = run or next((name for name in _runs(fleet) if name not in before), "")
    died_before = run in before and point.victims == CLI  # its journal has such a note already
    told.reached = killed if died_before else bool(run) and _struck(fleet, run, point.victims if run in before else "")
    if killed and point.then == "again":
        told.statuses.append(fleet.run(*(again or words), status=None).status)
        told.wrong += [f"the same again ended with {told.statuses[-1]}"] if told.statuses[-1] else []
    elif killed and run:
        _go_on(fleet, point, run, told)
    elif ran.status == 6:
        told.statuses.append(fleet.run("resume", run, status=None).status)
        told.wrong += [f"resume ended with {told.statuses[-1]}"] if told.statuses[-1] else []
    elif ran.status not in (0, 5):
        told.wrong.append(f"the command ended with {ran.status}: {ran.err[-600:]}")
    told.seconds = time.monotonic() - began
    return told


def _go_on(fleet: LocalFleet, point: Point, run: str, told: Told) -> None:
    if point.then == "alone":
        return
    words = ("resume", run, "--undo") if point.then == "undo" else ("resume", run)
    ran = fleet.run(*words, status=None)
    told.statuses.append(ran.status)
    before_commit = point.committing < 0 or (point.committing == 0 and point.at.endswith("/before"))
    # After the commit step there is only forward, and whoever asks for the other is told so.
    right = {"undo": ((5,), (2,)), "resume": ((0, 5), (0,))}[point.then]
    allowed = right[0] if before_commit else right[1]
    if ran.status not in allowed:
        told.wrong.append(f"{' '.join(words)} ended with {ran.status}, not {allowed}: {ran.err[-600:]}")
    if point.then == "undo" and not before_commit:
        told.statuses.append(fleet.run("resume", run, status=None).status)
        told.wrong += [f"forward after the refusal ended with {told.statuses[-1]}"] if told.statuses[-1] else []


def settled(wired: Wired, *, deadline_s: float = SETTLE_S) -> FleetSeen:
    """Wait for the end state of every story: one primary that serves, one standby in sync, gates open, no move."""
    end = time.monotonic() + deadline_s
    while True:
        seen = look(wired)
        missing = unsettled(seen)
        if not missing:
            return seen
        assert time.monotonic() < end, f"the fleet does not settle: {'; '.join(missing)}"
        time.sleep(0.1)


def unsettled(seen: FleetSeen) -> list[str]:
    """What keeps ``seen`` from being the end state."""
    record = seen.record
    if record is None:
        return ["the record is not known"]
    missing = [] if record.sync else ["nobody is in sync"]
    missing += ["a move is in the record"] if record.move is not None else []
    for one in seen.sites:
        if one.state is None:
            missing.append(f"{one.site} does not answer")
        elif one.state.database.member == record.primary:
            if one.state.database.state != "primary" or not one.state.serving:
                missing.append(f"{one.site} is {one.state.database.state} and does not serve")
            streaming = {row.application_name for row in one.state.database.replicas if row.state == "streaming"}
            missing += [f"{member} does not stream" for member in record.sync if member not in streaming]
        elif one.state.database.state == "primary":
            missing.append(f"{one.site} runs as primary beside the record's")
        gate = one.state.gate if one.state is not None and one.state.database.member else None
        if gate is not None and (gate.state, gate.primary, gate.hold_run) != ("open", record.primary_site, ""):
            missing.append(f"the gate at {one.site} is {gate.state} to {gate.primary or 'nobody'} {gate.hold_run}")
    return missing


def judge(told: Told, before: Record, after: Record, *, target: str) -> list[str]:
    """What is wrong about the end state: more than one effect, or the wrong side of the commit step."""
    point, wrong = told.point, list(told.wrong)
    gained = after.epoch - before.epoch
    if gained not in (0, 1):
        wrong.append(f"the epoch grew by {gained}")
    moved = after.primary_site == target
    if moved != (gained == 1):
        wrong.append(f"primary {after.primary_site}, but the epoch grew by {gained}")
    if not told.reached:
        return wrong
    intended = point.committing > 0 or (point.committing == 0 and not point.at.endswith("/before"))
    sent = point.committing > 0 or (point.committing == 0 and point.at.endswith("/sent"))
    ends_forward = 0 in told.statuses  # whoever said "done" must have moved
    if ends_forward != moved and told.statuses[0] != -signal.SIGKILL:
        wrong.append(f"statuses {told.statuses}, but primary is {after.primary_site}")
    if point.then == "alone" and sent != moved:
        wrong.append(f"by the keepers alone: primary {after.primary_site}")
    if point.then == "resume" and intended and not moved:
        wrong.append("resumed after the commit step began, and it did not go forward")
    if point.then == "undo" and intended != moved:
        wrong.append(f"asked to undo: primary {after.primary_site}")
    return wrong


def left_over(fleet: LocalFleet, *, within_s: float = 15.0) -> list[str]:
    """Processes of commands that have ended, and supervisors beside the one each host has. One that is forked at this
    moment is in neither list; what is still there after ``within_s`` is an orphan."""
    end = time.monotonic() + within_s
    while (found := _left_over_now(fleet)) and time.monotonic() < end:
        time.sleep(0.2)
    return found


def _left_over_now(fleet: LocalFleet) -> list[str]:
    found = []
    hosts: set[int] = set().union(*fleet.processes().values())
    supervised: list[str] = []
    for pid, words in _command_lines():
        line = " ".join(words)
        if "failover.agent.supervise" in words and str(fleet.state) in line:
            supervised.append(words[words.index("--host-dir") + 1])
        elif str(fleet.folder) in line and pid not in hosts and "failover.load.main" not in words:
            found.append(f"{pid}: {line[:160]}")
    found += [f"supervised twice: {one}" for one in supervised if supervised.count(one) > 1]
    return found


def _command_lines() -> Iterator[tuple[int, list[str]]]:
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().decode(errors="replace").split("\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            yield int(name), words


def _run(fleet: LocalFleet, extra: dict[str, str], *words: str) -> Ran:
    before = {name: os.environ.get(name) for name in extra}
    os.environ.update(extra)
    try:
        return fleet.run(*words, status=None)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


def _struck(fleet: LocalFleet, run: str, victims: str = "") -> bool:
    """The journal has a note of a strike (of exactly ``victims``, when they are given)."""
    return any(not victims or sorted(died) == sorted(victims.split(",")) for _, died in strikes(fleet, run))


def strikes(fleet: LocalFleet, run: str) -> list[tuple[str, list[str]]]:
    """Step and victims of each strike that the journal has a note of."""
    wired = wired_of(fleet)
    try:
        lines = [line for line in wired.journal.lines(run) if line.detail.startswith(STRUCK)]
    finally:
        wired.close()
    return [(line.step, line.detail.removeprefix(STRUCK).replace(" ", "").split(",")) for line in lines]


def _runs(fleet: LocalFleet) -> list[str]:
    wired = wired_of(fleet)
    try:
        return [view.run for view in wired.journal.runs()]
    finally:
        wired.close()


def agent_pid(fleet: LocalFleet, site: str) -> int:
    lock = fleet.host_dir(site) / "run" / "agent.lock"
    return int(lock.read_text() or "0") if lock.exists() else 0


def same_process(fleet: LocalFleet, site: str, pid: int) -> bool:
    return Path(f"/proc/{pid}").exists() and agent_pid(fleet, site) == pid
