"""``freeze``: a provider pauses every process of a site at one instant; ``return`` of a frozen site wakes it.

The waking side is the danger: it believes what it knew when it fell asleep. So it is woken in the worst order, its
database and app first and its agent last, while it is asked directly, before, during and after.
"""

from __future__ import annotations

from failover.operations.drill_moves import await_reaction
from failover.operations.drill_old_side import OldSideAsker, enter
from failover.operations.drill_scene import Scene, boot_s

# Longer than any process needs to begin its work again, so that the gate alone stands between it and its users.
AGENT_LAST_S = 0.7
_ASK_BEFORE_S = 0.5
_ASK_AFTER_S = 3.0


def freeze(scene: Scene) -> None:
    """SIGSTOP of everything at the site: connections stay open, the kernel goes on accepting new ones."""
    site = scene.wired.fleet.site(scene.ask.site)
    # The account is made while the site is awake: it must know it when it is asked again.
    values = enter(scene)
    scene.watch.note(f"{site.provider} freezes {site.name}")
    fault = scene.provider.freeze(site.name, note=values)
    scene.fault(f"{site.name} frozen", fault.begun_s, fault.complete_s)
    await_reaction(scene)
    scene.follow_names()
    scene.measure_names()
    scene.wait_to_the_end()


def wake(scene: Scene) -> None:
    """SIGCONT, and ask the woken side what it now believes."""
    site = scene.wired.fleet.site(scene.ask.site)
    values = scene.provider.frozen_note(site.name)
    record = scene.record()
    behind = record is not None and record.primary_site != site.name
    with OldSideAsker(scene, site, values=values) as asker:
        scene.wait_until(boot_s() + _ASK_BEFORE_S)
        scene.watch.note(f"{site.provider} wakes {site.name}; its agent last")
        scene.fault(f"{site.name} wakes", boot_s())
        scene.provider.wake(site.name, agent_last_s=AGENT_LAST_S if behind else 0.0)
        scene.mark(f"the agent of {site.name} wakes")
        scene.wait_protected(from_s=scene.gathered.fault_s + AGENT_LAST_S)
        scene.wait_until(scene.gathered.fault_s + _ASK_AFTER_S)
        scene.gathered.asked = asker.stop()
    scene.follow_names()
    scene.measure_names()
