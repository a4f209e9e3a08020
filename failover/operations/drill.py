"""A drill: load with a ledger, a fault or a move in the middle of it, and a measured report. The rehearsal of the day.

What must never be here: a figure that was not measured. Nothing of the fleet knows that it is being drilled.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

from failover.engine.interrupt import Interrupt
from failover.errors import Refused, UsageError
from failover.load.process import LoadProcess
from failover.load.request import LoadRequest
from failover.load.workload_file import load_workload
from failover.model.fleet import AppClass
from failover.model.report import DrillReport
from failover.operations.drill_ask import ISOLATED_KINDS, KINDS, DrillAsk, Gathered
from failover.operations.drill_clock import clock
from failover.operations.drill_freeze import freeze, wake
from failover.operations.drill_links import require_links
from failover.operations.drill_midway import stop_midway
from failover.operations.drill_moves import give_back, kill, make_good, switchover
from failover.operations.drill_partition import partition
from failover.operations.drill_provider import disk, egress, refuse
from failover.operations.drill_report import make_report
from failover.operations.drill_sample import Sampler
from failover.operations.drill_scene import Scene, boot_s
from failover.operations.drill_slow import slow
from failover.operations.inspect import look
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.planner.exposure import exposure


def _return(scene: Scene) -> None:
    """Whatever was done to the site is taken back."""
    if scene.provider.frozen(scene.ask.site):
        wake(scene)
    elif scene.provider.harmed(scene.ask.site):
        make_good(scene)
    else:
        give_back(scene)


# What happens in the middle of the load, once it is steady.
ACTS: Mapping[str, Callable[[Scene], None]] = {
    "switchover": switchover,
    "kill": kill,
    "freeze": freeze,
    "return": _return,
    "partition": partition,
    "slow": slow,
    "refuse": refuse,
    "egress": egress,
    "disk": disk,
    "clock": clock,
    "stop-midway": stop_midway,
}


def run_drill(wired: Wired, ask: DrillAsk, *, watch: Watch, interrupt: Interrupt) -> tuple[DrillReport, Path]:
    """Do it and write the report; returns it and the folder it is in. Raises ``UsageError`` for a site that does not
    fit, ``Refused`` when the fleet is not fit to be drilled (nothing was touched then)."""
    if ask.kind not in KINDS:
        raise UsageError(f"no drill is called {ask.kind!r}", hint=f"one of {', '.join(KINDS)}")
    started = datetime.now(UTC)
    drill_id = f"{started:%Y%m%dT%H%M%S}-{ask.kind}-{ask.site}-{ask.seed}"
    gathered = Gathered(folder=wired.state_dir / "reports" / drill_id, began_s=boot_s())
    _note_before(wired, ask, gathered)
    gathered.folder.mkdir(parents=True, mode=0o700)
    request = _load_request(wired, ask, gathered)
    with Sampler(sites=_data_sites(wired), measure=wired.measure, store=wired.record) as sampler:
        watch.note(f"load: {ask.writes_per_s:.0f} writes/s and {ask.reads_per_s:.0f} reads/s at {request.target}")
        with LoadProcess(request, folder=gathered.folder) as load:
            load.wait_ready(deadline_s=30.0)
            gathered.loaded_s = boot_s()
            load.wait_acknowledged(int(ask.writes_per_s * min(1.0, ask.steady_s / 2)), deadline_s=20.0)
            _act(Scene(wired, ask, gathered, sampler, watch, interrupt))
            watch.note("the load ends; every outstanding request gets its answer first")
            load.stop()
        gathered.unprotected_s = sampler.unprotected_s(from_s=gathered.loaded_s, until_s=boot_s())
    report = make_report(wired, ask, gathered, sampler, drill_id=drill_id, started=started)
    return report, gathered.folder


def _act(scene: Scene) -> None:
    gathered = scene.gathered
    scene.wait_until(gathered.loaded_s + scene.ask.steady_s)
    ACTS[scene.ask.kind](scene)
    last = scene.record()
    gathered.primary_after = last.primary_site if last is not None else ""
    gathered.epoch_after = last.epoch if last is not None else 0
    scene.wait_to_the_end()


def _note_before(wired: Wired, ask: DrillAsk, gathered: Gathered) -> None:
    seen = look(wired)
    record = seen.record
    if record is None:
        raise Refused(f"the record cannot be read: {seen.record_error}", hint="failover status")
    site = wired.fleet.site(ask.site) if ask.site in {s.name for s in wired.fleet.sites} else None
    if site is None:
        raise UsageError(f"no site is called {ask.site!r}", hint="failover status lists the sites")
    if ask.kind != "return" and not record.sync:
        raise Refused("the fleet is not protected: a drill now would measure the loss of data", hint="failover status")
    if ask.kind in ("switchover", "stop-midway", "clock") and record.primary_site == ask.site:
        raise UsageError(f"{ask.site} is primary already", hint=f"failover drill {ask.kind} to the other data site")
    if ask.only and ask.only not in {other.name for other in wired.fleet.sites if other.name != ask.site}:
        raise UsageError(f"--only {ask.only}: not another site", hint="failover status lists the sites")
    if ask.kind in ISOLATED_KINDS:
        require_links(wired.fleet)
    if ask.kind == "disk" and site not in wired.fleet.data_sites:
        raise UsageError(f"{ask.site} holds no data", hint="failover drill disk SITE, with a data site")
    gathered.primary_before, gathered.epoch_before = record.primary_site, record.epoch
    gathered.sync_before = record.sync
    others = [other.name for other in wired.fleet.data_sites if other.name != record.primary_site]
    gathered.stated = exposure(record, seen, others[0]) if others else None


def _load_request(wired: Wired, ask: DrillAsk, gathered: Gathered) -> LoadRequest:
    fleet = wired.fleet
    workload = load_workload(wired.fleet_path.parent / (fleet.app.workload or "workload.yaml"))
    edge = fleet.data_sites[0].ports.edge
    return LoadRequest(
        run=f"d{int(time.time()):x}_{ask.seed}",
        seed=ask.seed,
        workload=workload,
        target=f"http://{fleet.dns.name}:{edge}",
        dns_servers=tuple(f"{site.address}:{site.ports.dns}" for site in fleet.dns_sites),
        ledger=str(gathered.folder / "ledger.jsonl.zst"),
        writes_per_s=ask.writes_per_s,
        reads_per_s=ask.reads_per_s,
        # A dead address refuses at once here; a shorter limit would count a busy machine's own hiccups as failures.
        connect_s=1.0,
        # Behind an edge's hold a request waits for the app to start: a client that asks again meanwhile is no failure.
        # So does everything over slow links, where a move takes dozens of round trips.
        attempt_s=15.0 if fleet.app.promise is AppClass.G3 or ask.kind == "slow" else 2.5,
    )


def _data_sites(wired: Wired) -> tuple[str, ...]:
    return tuple(site.name for site in wired.fleet.data_sites)
