"""One story per verb: bring the fleet to where the verb makes sense, strike it at a point, wait for the end, judge.

Every story begins and ends with a settled fleet, whatever was struck in its middle. Fleets are deployed with
``promote: ask``, so that a promotion is the command's, and the keepers' own acts can be told from it.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace
from pathlib import Path

from failover.agent import strike as keeper_strike
from failover.model.plan import Plan
from failover.model.record import Record
from failover.operations.carry_out import propose
from failover.operations.drill_fault import LocalProvider
from failover.operations.verbs import DeployWish, FailbackWish, PromoteWish, SwitchoverWish
from failover.operations.wired import Wired
from tests.e2e.crash_points import (
    Point,
    Told,
    agent_pid,
    enumerate_points,
    enumerate_undo,
    judge,
    left_over,
    plan_of,
    same_process,
    settled,
    strike,
    strike_undo,
)
from tests.e2e.harness import LocalFleet
from tests.e2e.load import wired_of

TURNED = {"alpha": "beta", "beta": "alpha"}
KEEPERS = ("source", "target", "survivor", "returning")


def other(site: str) -> str:
    """The other data site."""
    return TURNED[site]


class Stories:
    """The stories of one fleet. Points are made as if alpha were primary, and mirrored when beta is."""

    def __init__(self, fleet: LocalFleet, wired: Wired) -> None:
        self._fleet = fleet
        self._wired = wired
        self._provider = LocalProvider(wired.fleet, wired.state_dir)
        self._armed = ""
        self._fell = ""

    def points(self) -> tuple[Point, ...]:
        """Every point of every verb. Takes alpha away for a moment: the plan of a promotion needs a lost primary."""
        self.be_primary("alpha")
        plan = plan_of(self._wired, SwitchoverWish("beta"))
        found = (*enumerate_points(plan), *enumerate_undo(plan))
        found += enumerate_points(self._lose("alpha"))
        self._provider.give_back("alpha")
        settled(self._wired)
        self.be_primary("beta")
        found += tuple(mirrored(point) for point in enumerate_points(plan_of(self._wired, FailbackWish())))
        for verb, keepers in (("switchover", KEEPERS[:2]), ("rejoin", KEEPERS[2:])):
            found += tuple(
                Point(verb=f"keeper-{verb}", at=at, victims=keeper, then="", committing=0)
                for at in keeper_strike.points() for keeper in keepers
            )  # fmt: skip
        return found

    def tell(self, point: Point) -> Told:
        """Carry the story of ``point`` out."""
        stories = {
            "switchover": self._move, "undo": self._undo, "failback": self._failback, "promote": self._promote,
            "keeper-switchover": self._keeper_move, "keeper-rejoin": self._keeper_rejoin,
        }  # fmt: skip
        began = time.monotonic()
        told = stories[point.verb](point)
        told.wrong += left_over(self._fleet)
        told.seconds = time.monotonic() - began
        return told

    def sweep(self, points: list[Point]) -> list[Told]:
        """One story of a keeper that dies at whichever of ``points`` (of one verb and victim) it comes to first. How
        that one ended; or, when it came to none, that all of them were not reached."""
        self._armed = " ".join(point.at for point in points)
        try:
            told = self.tell(points[0])
        finally:
            self._armed = ""
        if not told.reached:
            return [replace(told, point=point) for point in points]
        return [replace(told, point=point) for point in points if point.at == self._fell]

    def _move(self, point: Point, verb: tuple[str, ...] = ()) -> Told:
        before = self._record()
        target = other(before.primary_site)
        here = point if before.primary_site == "alpha" else mirrored(point)
        told = strike(self._fleet, here, *(verb or ("switchover", "--to", target)), "--yes")
        return self._judged(told, before, target)

    def _undo(self, point: Point) -> Told:
        before = self._record()
        target = other(before.primary_site)
        plan = plan_of(self._wired, SwitchoverWish(target)).steps
        here = point if before.primary_site == "alpha" else mirrored(point)
        last = plan[next(index for index, step in enumerate(plan) if step.commit) - 1].id
        told = strike_undo(self._fleet, here, last, "switchover", "--to", target, "--yes")
        told = self._judged(told, before, target)
        told.wrong += [f"taken back, and primary is {target}"] if self._record().primary_site == target else []
        return told

    def _failback(self, point: Point) -> Told:
        self.be_primary("beta")
        return self._move(point, ("failback",))

    def _promote(self, point: Point) -> Told:
        before = self._record()
        dead, site = before.primary_site, other(before.primary_site)
        here = point if dead == "alpha" else mirrored(point)
        self._lose(dead)
        told = strike(self._fleet, here, "promote", site, "--yes")
        self._wait_taken(before, told)
        self._provider.give_back(dead)
        return self._judged(told, before, site)

    def _keeper_move(self, point: Point) -> Told:
        before = self._record()
        target = other(before.primary_site)
        victim = before.primary_site if point.victims == "source" else target
        self._arm(victim, self._armed or point.at)
        ran = self._fleet.run("switchover", "--to", target, "--yes", status=None)
        told = Told(point=point, reached=False, statuses=[ran.status], seconds=0.0)
        if ran.status == 6:
            run = self._wired.journal.runs()[0].run
            told.statuses.append(self._fleet.run("resume", run, status=None).status)
        told.wrong += [] if told.statuses[-1] in (0, 5) else [f"ended with {told.statuses}: {ran.err[-600:]}"]
        told = self._judged(told, before, target)
        told.reached = not self._disarm(victim)
        return told

    def _keeper_rejoin(self, point: Point) -> Told:
        before = self._record()
        dead, site = before.primary_site, other(before.primary_site)
        if point.victims == "survivor":
            self._arm(site, self._armed or point.at)
        self._lose(dead)
        if point.victims == "returning":
            (self._wired.state_dir / "suspended" / dead / keeper_strike.FILE).write_text(self._armed or point.at)
        ran = self._fleet.run("promote", site, "--yes", status=None)
        told = Told(point=point, reached=False, statuses=[ran.status], seconds=0.0)
        if ran.status == 6:
            run = self._wired.journal.runs()[0].run
            told.statuses.append(self._fleet.run("resume", run, status=None).status)
        told.wrong += [] if told.statuses[-1] == 0 else [f"ended with {told.statuses}: {ran.err[-600:]}"]
        self._provider.give_back(dead)
        told = self._judged(told, before, site)
        told.reached = not self._disarm(site if point.victims == "survivor" else dead)
        return told

    def _judged(self, told: Told, before: Record, target: str) -> Told:
        after = settled(self._wired).record
        assert after is not None
        told.wrong = judge(told, before, after, target=target)
        return told

    def _record(self) -> Record:
        record = settled(self._wired).record
        assert record is not None
        return record

    def primary(self) -> str:
        """The site that is primary now, once the fleet has settled."""
        return self._record().primary_site

    def be_primary(self, site: str) -> None:
        if self._record().primary_site != site:
            self._fleet.run("switchover", "--to", site, "--yes")
            settled(self._wired)

    def _lose(self, site: str) -> Plan:
        """The provider takes ``site`` away; the plan to promote the other once the observers agree."""
        self._provider.kill(site)
        end = time.monotonic() + 20.0
        while not isinstance(plan := propose(self._wired, PromoteWish(other(site))), Plan):
            assert time.monotonic() < end, f"{site} is gone and a promotion is refused: {plan.findings}"
            time.sleep(0.2)
        return plan

    def _wait_taken(self, before: Record, told: Told) -> None:
        """A request that is in the record is acted on by the keeper alone; give it its time before the dead return."""
        if told.point.committing > 0 or told.point.at.endswith("/sent"):
            end = time.monotonic() + 20.0
            while (now := self._wired.record.read(deadline_s=5.0)) is None or now.epoch == before.epoch:
                if time.monotonic() > end:
                    return  # the verdict on the end state will say so
                time.sleep(0.1)

    def _arm(self, site: str, at: str) -> None:
        """Restart the site's agent with a death to come, and wait until all is as it was."""
        (self._fleet.host_dir(site) / keeper_strike.FILE).write_text(at)
        pid = agent_pid(self._fleet, site)
        os.kill(pid, signal.SIGKILL)
        while same_process(self._fleet, site, pid):
            time.sleep(0.05)
        settled(self._wired)

    def _disarm(self, site: str) -> bool:
        """True when it was never reached; the agent that waits for it is none the wiser."""
        file, fell = (self._fleet.host_dir(site) / name for name in (keeper_strike.FILE, keeper_strike.STRUCK))
        there = file.exists()
        file.unlink(missing_ok=True)
        self._fell = fell.read_text() if fell.exists() else ""
        fell.unlink(missing_ok=True)
        return there


def mirrored(point: Point) -> Point:
    """The same point with the data sites in each other's place."""

    def turned(text: str, mark: str) -> str:
        return mark.join(TURNED.get(word, word) for word in text.split(mark))

    step, phase = point.at.split("/")
    return replace(point, at=f"{turned(step, '-')}/{phase}", victims=turned(point.victims, ","))


def ask_first(fleet: LocalFleet) -> None:
    """Before the deploy: promotions only when somebody asks for one."""
    text = fleet.file.read_text()
    assert "promote: auto" in text
    fleet.file.write_text(text.replace("promote: auto", "promote: ask"))


def deploy_points(folder: Path, *, block: int) -> tuple[Point, ...]:
    """Every point of a first deploy, made from a fleet that is only a file. It has no commit step: only forward."""
    one = LocalFleet(folder, block=block)
    one.init()
    wired = wired_of(one)
    try:
        return enumerate_points(plan_of(wired, DeployWish()), thens=("resume", "again"))
    finally:
        wired.close()


def born_wrong(one: LocalFleet) -> list[str]:
    """What is wrong with a fleet whose first deploy was struck and has come to its end."""
    wired = wired_of(one)
    try:
        record = settled(wired).record
    finally:
        wired.close()
    twice = [] if record is not None and record.epoch == 1 else [f"born more than once: {record}"]
    return [*twice, *left_over(one)]


def tell_deploy(point: Point, folder: Path, *, block: int) -> Told:
    """A fleet from nothing, struck while it is made, and gone again."""
    one = LocalFleet(folder, block=block)
    one.init()
    try:
        told = strike(one, point, "deploy", "--yes")
        told.wrong += born_wrong(one)
        ran = one.run("destroy", "--yes", status=None)
        told.wrong += [f"destroy ended with {ran.status}: {ran.err[-400:]}"] if ran.status else []
        return told
    finally:
        one.end()
