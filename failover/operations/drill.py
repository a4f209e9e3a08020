"""A drill: load with a ledger, a fault or a move in the middle of it, and a measured report. The rehearsal of the day.

What must never be here: a figure that was not measured. Nothing of the fleet knows that it is being drilled.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from failover.engine.interrupt import Interrupt
from failover.errors import FailoverError, Refused, UsageError
from failover.load.process import LoadProcess
from failover.load.request import LoadRequest
from failover.load.workload_file import load_workload
from failover.model.fleet import AppClass
from failover.model.report import DrillReport, Mark, Phase
from failover.model.run_report import RunReport
from failover.operations.carry_out import Approval, carry_out
from failover.operations.dead_side import DeadSideTrap
from failover.operations.drill_ask import KINDS, DrillAsk, Gathered
from failover.operations.drill_fault import LocalProvider
from failover.operations.drill_report import make_report
from failover.operations.drill_sample import Sampler
from failover.operations.inspect import look, names
from failover.operations.verbs import NamesWish, SwitchoverWish
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.planner.dns import wanted_names

_SETTLE_S = 30.0
_PROTECT_S = 60.0


def _boot_s() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def run_drill(wired: Wired, ask: DrillAsk, *, watch: Watch, interrupt: Interrupt) -> tuple[DrillReport, Path]:
    """Do it and write the report; returns it and the folder it is in. Raises ``UsageError`` for a site that does not
    fit, ``Refused`` when the fleet is not fit to be drilled (nothing was touched then)."""
    if ask.kind not in KINDS:
        raise UsageError(f"no drill is called {ask.kind!r}", hint=f"one of {', '.join(KINDS)}")
    started = datetime.now(UTC)
    drill_id = f"{started:%Y%m%dT%H%M%S}-{ask.kind}-{ask.site}-{ask.seed}"
    gathered = Gathered(folder=wired.state_dir / "reports" / drill_id, began_s=_boot_s())
    _note_before(wired, ask, gathered)
    gathered.folder.mkdir(parents=True, mode=0o700)
    request = _load_request(wired, ask, gathered)
    with Sampler(sites=_data_sites(wired), measure=wired.measure, store=wired.record) as sampler:
        watch.note(f"load: {ask.writes_per_s:.0f} writes/s and {ask.reads_per_s:.0f} reads/s at {request.target}")
        with LoadProcess(request, folder=gathered.folder) as load:
            load.wait_ready(deadline_s=30.0)
            gathered.loaded_s = _boot_s()
            load.wait_acknowledged(int(ask.writes_per_s * min(1.0, ask.steady_s / 2)), deadline_s=20.0)
            _wait_until(gathered.loaded_s + ask.steady_s, interrupt)
            _act(wired, ask, gathered, sampler, watch, interrupt)
            _wait_until(gathered.loaded_s + ask.duration_s, interrupt)
            watch.note("the load ends; every outstanding request gets its answer first")
            load.stop()
        gathered.unprotected_s = sampler.unprotected_s(from_s=gathered.loaded_s, until_s=_boot_s())
    report = make_report(wired, ask, gathered, sampler, drill_id=drill_id, started=started)
    return report, gathered.folder


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
    if ask.kind == "switchover" and record.primary_site == ask.site:
        raise UsageError(f"{ask.site} is primary already", hint="failover drill switchover to the other data site")
    gathered.primary_before, gathered.epoch_before = record.primary_site, record.epoch
    gathered.sync_before = record.sync
    primary = seen.site(record.primary_site).state
    if primary is not None and primary.database.replicas:
        gathered.exposed_bytes = 0 if record.sync else None


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
        attempt_s=15.0 if fleet.app.promise is AppClass.G3 else 2.5,
    )


def _data_sites(wired: Wired) -> tuple[str, ...]:
    return tuple(site.name for site in wired.fleet.data_sites)


def _wait_until(instant_s: float, interrupt: Interrupt) -> None:
    while _boot_s() < instant_s and not interrupt.times:
        time.sleep(0.02)


def _act(
    wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, watch: Watch, interrupt: Interrupt
) -> None:
    if ask.kind == "switchover":
        _switchover(wired, ask, gathered, sampler, watch, interrupt)
    elif ask.kind == "kill":
        _kill(wired, ask, gathered, sampler, watch, interrupt)
    else:
        _return(wired, ask, gathered, sampler, watch, interrupt)
    last = sampler.records[-1].record if sampler.records else None
    gathered.primary_after = last.primary_site if last is not None else ""
    gathered.epoch_after = last.epoch if last is not None else 0


def _switchover(
    wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, watch: Watch, interrupt: Interrupt
) -> None:
    gathered.fault_s = gathered.complete_s = _boot_s()
    gathered.marks.append(Mark(name=f"switchover to {ask.site}", at_s=_since(gathered, gathered.fault_s)))
    answer = carry_out(
        wired, SwitchoverWish(ask.site), approval=Approval(yes=True), watch=watch, interrupt=interrupt
    )
    if not isinstance(answer, RunReport):
        raise Refused(
            f"there was no switchover: {answer.summary}",
            hint=f"failover switchover --to {ask.site} --dry-run",
        )
    gathered.settled_s, gathered.run = _boot_s(), answer.run
    _measure_names(wired, gathered, sampler)
    gathered.phases.extend(_journaled_phases(wired, gathered))
    seen = sampler.wait_protected(from_s=gathered.fault_s, deadline_s=_PROTECT_S)
    gathered.protected_s = None if seen is None else max(seen.at_s, gathered.fault_s)


def _journaled_phases(wired: Wired, gathered: Gathered) -> list[Phase]:
    """Every step as the journal timed it; steps of different lanes overlap."""
    wall_to_boot_s = time.time() - _boot_s()
    phases = []
    for line in wired.journal.lines(gathered.run):
        if line.kind == "result" and line.seconds is not None:
            ended_s = datetime.fromisoformat(line.at).timestamp() - wall_to_boot_s
            started_s = _since(gathered, ended_s - line.seconds)
            phases.append(Phase(name=line.step, started_s=started_s, seconds=round(line.seconds, 3)))
    return sorted(phases, key=lambda phase: phase.started_s)


def _kill(
    wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, watch: Watch, interrupt: Interrupt
) -> None:
    provider = LocalProvider(wired.fleet, wired.state_dir)
    watch.note(f"{wired.fleet.site(ask.site).provider} switches {ask.site} off")
    fault = provider.kill(ask.site)
    trap = DeadSideTrap(wired.fleet.site(ask.site), refusals=provider.refusals(ask.site))
    trap.arm()
    gathered.fault_s, gathered.complete_s = fault.begun_s, fault.complete_s
    gathered.marks.append(Mark(name=f"{ask.site} switched off", at_s=_since(gathered, fault.begun_s)))
    try:
        if gathered.primary_before == ask.site:
            taken = sampler.wait_for_epoch(gathered.epoch_before + 1, deadline_s=_SETTLE_S)
            if taken is None:
                gathered.remarks.append(f"nobody took over within {_SETTLE_S:.0f} s")
            else:
                gathered.detected_s = taken.at_s
                gathered.marks.append(Mark(name="record swapped", at_s=_since(gathered, taken.at_s)))
                watch.note(f"{taken.record.primary_site} took over by itself; names follow")
        _follow_names(wired, gathered, watch, interrupt)
        _measure_names(wired, gathered, sampler)
        _wait_until(gathered.loaded_s + ask.duration_s, interrupt)
    finally:
        gathered.dead_side = trap.close()


def _follow_names(wired: Wired, gathered: Gathered, watch: Watch, interrupt: Interrupt) -> None:
    """DNS credentials are on no host (safety G4): the operator's side moves the names after the database moved."""
    began = _boot_s()
    try:
        answer = carry_out(wired, NamesWish(), approval=Approval(yes=True), watch=watch, interrupt=interrupt)
    except FailoverError as error:
        gathered.remarks.append(f"names: {error}")
        return
    if isinstance(answer, RunReport):
        gathered.run = gathered.run or answer.run
        gathered.phases.append(
            Phase(name="names at live DNS providers", started_s=_since(gathered, began), seconds=_boot_s() - began)
        )


def _return(
    wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, watch: Watch, interrupt: Interrupt
) -> None:
    gathered.fault_s = gathered.complete_s = _boot_s()
    watch.note(f"{wired.fleet.site(ask.site).provider} gives {ask.site} back")
    LocalProvider(wired.fleet, wired.state_dir).give_back(ask.site)
    gathered.marks.append(Mark(name=f"{ask.site} given back", at_s=_since(gathered, gathered.fault_s)))
    seen = sampler.wait_protected(from_s=gathered.fault_s, deadline_s=_PROTECT_S)
    if seen is None:
        gathered.remarks.append(f"not protected again within {_PROTECT_S:.0f} s")
    else:
        gathered.protected_s = max(seen.at_s, gathered.fault_s)
        gathered.marks.append(Mark(name="protected again", at_s=_since(gathered, gathered.protected_s)))
    _follow_names(wired, gathered, watch, interrupt)
    _measure_names(wired, gathered, sampler)


def _measure_names(wired: Wired, gathered: Gathered, sampler: Sampler) -> None:
    """Ask every DNS server that lives, directly: the API's "done" is not what users see."""
    if not sampler.records:
        return
    suspended = LocalProvider(wired.fleet, wired.state_dir)
    live = frozenset(site.name for site in wired.fleet.sites if not suspended.suspended(site.name))
    wanted = wanted_names(wired.fleet, sampler.records[-1].record.primary_site, live)
    for one in names(wired, look(wired)):
        if one.site not in live:
            continue
        gathered.dns_alive += 1
        answers = one.answers or {}
        if all(sorted(answers.get(name, ())) == sorted(addresses) for name, addresses in wanted.items()):
            gathered.dns_correct += 1
    if gathered.dns_alive and gathered.dns_correct == gathered.dns_alive:
        gathered.dns_right_s = _boot_s() - gathered.fault_s


def _since(gathered: Gathered, instant_s: float) -> float:
    return round(instant_s - gathered.loaded_s, 3)
