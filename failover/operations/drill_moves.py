"""Drills of what an operator or a provider does as a whole: a planned switchover, a site switched off and given back.

What must never be here: a fault that leaves half of something alive (``drill_freeze``, ``drill_partition`` and others).
"""

from __future__ import annotations

import time
from datetime import datetime

from failover.errors import Refused
from failover.model.report import Phase
from failover.model.run_report import RunReport
from failover.operations.carry_out import Approval, carry_out
from failover.operations.dead_side import DeadSideTrap
from failover.operations.drill_scene import PROTECT_S, Scene, boot_s
from failover.operations.verbs import SwitchoverWish

SETTLE_S = 30.0


def switchover(scene: Scene, *, to: str = "") -> None:
    """A planned move to the drilled site, or to another."""
    wired, gathered, site = scene.wired, scene.gathered, to or scene.ask.site
    scene.fault(f"switchover to {site}", boot_s())
    answer = carry_out(
        wired, SwitchoverWish(site), approval=Approval(yes=True), watch=scene.watch, interrupt=scene.interrupt
    )
    if not isinstance(answer, RunReport):
        raise Refused(
            f"there was no switchover: {answer.summary}", hint=f"failover switchover --to {site} --dry-run"
        )
    gathered.settled_s, gathered.run = boot_s(), answer.run
    scene.measure_names()
    gathered.phases.extend(journaled_phases(scene))
    seen = scene.sampler.wait_protected(from_s=gathered.fault_s, deadline_s=PROTECT_S)
    gathered.protected_s = None if seen is None else max(seen.at_s, gathered.fault_s)


def journaled_phases(scene: Scene) -> list[Phase]:
    """Every step as the journal timed it; steps of different lanes overlap."""
    wall_to_boot_s = time.time() - boot_s()
    phases = []
    for line in scene.wired.journal.lines(scene.gathered.run):
        if line.kind == "result" and line.seconds is not None:
            ended_s = datetime.fromisoformat(line.at).timestamp() - wall_to_boot_s
            started_s = scene.since(ended_s - line.seconds)
            phases.append(Phase(name=line.step, started_s=started_s, seconds=round(line.seconds, 3)))
    return sorted(phases, key=lambda phase: phase.started_s)


def kill(scene: Scene) -> None:
    """The provider switches the site off: everything at one instant, and its API refuses us."""
    site = scene.wired.fleet.site(scene.ask.site)
    scene.watch.note(f"{site.provider} switches {site.name} off")
    fault = scene.provider.kill(site.name)
    trap = DeadSideTrap(site, refusals=scene.provider.refusals(site.name))
    trap.arm()
    scene.fault(f"{site.name} switched off", fault.begun_s, fault.complete_s)
    try:
        await_reaction(scene)
        scene.follow_names()
        scene.measure_names()
        scene.wait_to_the_end()
    finally:
        scene.gathered.dead_side = trap.close()


def await_reaction(scene: Scene) -> None:
    """What the fleet must do by itself: take over from a primary, go on without a sync member."""
    if scene.hits_primary:
        scene.wait_takeover(deadline_s=SETTLE_S)
        return
    for member in scene.gathered.sync_before:
        if member.rpartition("_")[0] == scene.ask.site:
            scene.wait_dropped(member, deadline_s=SETTLE_S)


def give_back(scene: Scene) -> None:
    """The account works again: the machine boots with the disk it had."""
    site = scene.wired.fleet.site(scene.ask.site)
    scene.watch.note(f"{site.provider} gives {site.name} back")
    scene.fault(f"{site.name} given back", boot_s())
    scene.provider.give_back(site.name)
    scene.wait_protected(from_s=scene.gathered.fault_s)
    scene.follow_names()
    scene.measure_names()


def make_good(scene: Scene) -> None:
    """The provider's API answers again, the disk has room again: nothing has to boot."""
    site = scene.wired.fleet.site(scene.ask.site)
    scene.fault(f"{site.name} is sound again", boot_s())
    scene.provider.make_good(site.name)
    scene.watch.note(f"{site.provider}: {site.name} is sound again")
    scene.wait_protected(from_s=scene.gathered.fault_s)
    scene.follow_names()
    scene.measure_names()
