"""``refuse``: the provider's API says "account suspended" while its machines still run. ``egress``: its links go first,
its processes die 5 s later. ``disk``: not a byte can be written at the site any more.

Half of something is alive each time, and the way out may need nothing that has refused.
"""

from __future__ import annotations

from failover.model.report import DeadSide
from failover.operations.drill_links import Links, links_of
from failover.operations.drill_moves import await_reaction, switchover
from failover.operations.drill_old_side import ASKS_PER_S, WRITE_EVERY, OldSideAsker, enter
from failover.operations.drill_scene import Scene, boot_s

EGRESS_S = 5.0
_FORGOTTEN_S = 3.0
# Whatever the fleet does about it has begun by then.
_NOTICED_S = 2.0


def refuse(scene: Scene) -> None:
    """The account is suspended; writes leave for the other site by a planned move, and nobody calls the API."""
    site = scene.wired.fleet.site(scene.ask.site)
    scene.provider.refuse(site.name)
    begun = boot_s()
    scene.watch.note(f"the API of {site.provider} refuses us; {site.name} still runs")
    if scene.hits_primary:
        away = next(other.name for other in scene.wired.fleet.data_sites if other.name != site.name)
        switchover(scene, to=away)
    else:
        scene.fault(f"{site.provider} refuses", begun)
        scene.measure_names()
    scene.wait_to_the_end()
    scene.gathered.dead_side = _calls(scene)


def _calls(scene: Scene) -> DeadSide:
    """Who called the provider's API meanwhile, as that wrote it down itself."""
    refusals = scene.provider.refusals(scene.ask.site)
    called = refusals.read_text().splitlines() if refusals.exists() else []
    return DeadSide(calls=len(called), log=tuple(called))


def egress(scene: Scene) -> None:
    """A dying provider: for 5 s the site lives and nobody it knows can be reached; then it is switched off."""
    ask, gathered, fleet = scene.ask, scene.gathered, scene.wired.fleet
    site = fleet.site(ask.site)
    with Links(fleet) as links:
        with OldSideAsker(
            scene, fleet.site(gathered.primary_before), values=enter(scene), per_s=ASKS_PER_S, write_every=WRITE_EVERY
        ) as asker:
            begun = boot_s()
            links.cut(links_of(fleet, ask.site))
            scene.fault(f"{ask.site} cut off", begun, boot_s())
            scene.watch.note(f"{site.provider} cuts the links of {ask.site}; it dies in {EGRESS_S:.0f} s")
            scene.wait_until(begun + EGRESS_S)
            gathered.cut_ended_s = boot_s()
            scene.provider.kill(ask.site)
            scene.mark(f"{ask.site} switched off")
            gathered.asked = asker.stop()
        await_reaction(scene)
        scene.follow_names()
        scene.measure_names()
        scene.wait_to_the_end()
    scene.gathered.dead_side = _calls(scene)


def disk(scene: Scene) -> None:
    """The disk is full: whatever the site writes fails from now on, and goes on failing in what it starts anew. Or it
    goes back in time: the site dies and is back at once, without the writes of the last seconds."""
    if scene.ask.rolled_back:
        _roll_back(scene)
        return
    begun = boot_s()
    scene.provider.fill_disk(scene.ask.site)
    scene.fault(f"the disk of {scene.ask.site} is full", begun, boot_s())
    scene.watch.note(f"{scene.ask.site} cannot write any more")
    await_reaction(scene)
    scene.follow_names()
    scene.measure_names()
    scene.wait_to_the_end()


def _roll_back(scene: Scene) -> None:
    scene.provider.image(scene.ask.site)
    scene.mark(f"image of {scene.ask.site}")
    scene.wait_until(boot_s() + _FORGOTTEN_S)
    scene.watch.note(f"{scene.ask.site} dies and boots with its disk of {_FORGOTTEN_S:.0f} s ago")
    fault = scene.provider.roll_back(scene.ask.site)
    scene.fault(f"the disk of {scene.ask.site} went back", fault.begun_s, boot_s())
    scene.wait_until(boot_s() + _NOTICED_S)
    scene.wait_protected(from_s=boot_s())
    scene.follow_names()
    scene.measure_names()
