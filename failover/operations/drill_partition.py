"""``partition``: a site loses its links to the other sites, or one direction of them, and gets them back.

With three sites, whom the cut leaves alone is the shape: the primary (A|BW), the witness (AB|W) or the standby (AW|B);
``--only`` cuts the link to one site only. Users and operators reach both sides all the while: the side that was left
behind is asked directly, and must neither serve a stale read nor take a write alone.
"""

from __future__ import annotations

from failover.operations.drill_links import Links, links_of
from failover.operations.drill_moves import SETTLE_S
from failover.operations.drill_old_side import ASKS_PER_S, WRITE_EVERY, OldSideAsker, enter
from failover.operations.drill_scene import Scene, boot_s

# Of the time that is left when the fault comes, how much the links stay cut.
_CUT_SHARE = 0.55
_ASK_AFTER_S = 1.5


def partition(scene: Scene) -> None:
    """Cut, wait for what the fleet does by itself, heal, wait until it is whole again."""
    ask, gathered, fleet = scene.ask, scene.gathered, scene.wired.fleet
    cut = links_of(fleet, ask.site, way=ask.way, to=ask.only)
    with Links(fleet) as links:
        asked_site = fleet.site(gathered.primary_before)
        values = enter(scene)
        with OldSideAsker(scene, asked_site, values=values, per_s=ASKS_PER_S, write_every=WRITE_EVERY) as asker:
            scene.watch.note(f"{ask.site} loses {len(cut)} of its links ({ask.way})")
            begun = boot_s()
            links.cut(cut)
            scene.fault(f"{ask.site} cut off", begun, boot_s())
            _await_reaction(scene)
            left_s = gathered.loaded_s + ask.duration_s - gathered.fault_s
            scene.wait_until(gathered.fault_s + left_s * _CUT_SHARE)
            scene.watch.note("the links are back")
            gathered.cut_ended_s = boot_s()
            links.heal()
            healed = boot_s()
            scene.mark("healed", healed)
            scene.wait_protected(from_s=healed)
            scene.wait_until(healed + _ASK_AFTER_S)
            gathered.asked = asker.stop()
    scene.follow_names()
    scene.measure_names()


def _await_reaction(scene: Scene) -> None:
    """Only a primary that both others miss is replaced; which other cut makes a site leave sync is not prescribed."""
    ask, gathered = scene.ask, scene.gathered
    if scene.hits_primary and not ask.only and ask.way == "both":
        scene.wait_takeover(deadline_s=SETTLE_S)
        return
    taken = scene.sampler.wait_for_epoch(gathered.epoch_before + 1, deadline_s=4.0)
    if taken is not None:
        gathered.detected_s = taken.at_s
        scene.mark("record swapped", taken.at_s)
