"""What every kind of drill works with while its load runs, and the acts they share: marks, names, waiting.

What must never be here: a fault, a move, a judgement.
"""

from __future__ import annotations

import time
from pathlib import Path

from failover.engine.interrupt import Interrupt
from failover.errors import FailoverError
from failover.model.record import Record
from failover.model.report import Mark, Phase
from failover.model.run_report import RunReport
from failover.operations.carry_out import Approval, carry_out
from failover.operations.drill_ask import DrillAsk, Gathered
from failover.operations.drill_fault import LocalProvider
from failover.operations.drill_sample import RecordSeen, Sampler
from failover.operations.inspect import look, names
from failover.operations.verbs import NamesWish
from failover.operations.watch import Watch
from failover.operations.wired import Wired
from failover.planner.dns import wanted_names

PROTECT_S = 60.0


def boot_s() -> float:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Scene:
    """One drill under load. Instants given to it are CLOCK_BOOTTIME."""

    def __init__(
        self, wired: Wired, ask: DrillAsk, gathered: Gathered, sampler: Sampler, watch: Watch, interrupt: Interrupt
    ) -> None:
        self.wired = wired
        self.ask = ask
        self.gathered = gathered
        self.sampler = sampler
        self.watch = watch
        self.interrupt = interrupt
        self.provider = LocalProvider(wired.fleet, wired.state_dir)

    @property
    def hits_primary(self) -> bool:
        """The drilled site was primary when the drill began."""
        return self.gathered.primary_before == self.ask.site

    @property
    def host_dir(self) -> Path:
        """The drilled site's folder."""
        return self.wired.state_dir / "sites" / self.ask.site

    def since(self, instant_s: float) -> float:
        """Seconds from the load's beginning."""
        return round(instant_s - self.gathered.loaded_s, 3)

    def mark(self, name: str, at_s: float | None = None) -> None:
        """A line through every plot."""
        self.gathered.marks.append(Mark(name=name, at_s=self.since(boot_s() if at_s is None else at_s)))

    def fault(self, name: str, begun_s: float, complete_s: float | None = None) -> None:
        """The fault came: figures count from here."""
        self.gathered.fault_s = begun_s
        self.gathered.complete_s = begun_s if complete_s is None else complete_s
        self.mark(name, begun_s)

    def wait_until(self, instant_s: float) -> None:
        """Until then, or until somebody interrupts."""
        while boot_s() < instant_s and not self.interrupt.times:
            time.sleep(0.02)

    def wait_to_the_end(self) -> None:
        """Until the load is due to end."""
        self.wait_until(self.gathered.loaded_s + self.ask.duration_s)

    def wait_takeover(self, *, deadline_s: float) -> RecordSeen | None:
        """The first epoch after the one before the fault; noted as detected, or remarked on."""
        gathered = self.gathered
        taken = self.sampler.wait_for_epoch(gathered.epoch_before + 1, deadline_s=deadline_s)
        if taken is None:
            gathered.remarks.append(f"nobody took over within {deadline_s:.0f} s")
            return None
        gathered.detected_s = taken.at_s
        self.mark("record swapped", taken.at_s)
        self.watch.note(f"{taken.record.primary_site} took over by itself")
        return taken

    def wait_dropped(self, member: str, *, deadline_s: float) -> None:
        """Until the record does not list ``member`` as sync any more; noted as detected, or remarked on."""
        gone = self.sampler.wait_record(
            lambda record: member not in record.sync, from_s=self.gathered.fault_s, deadline_s=deadline_s
        )
        if gone is None:
            self.gathered.remarks.append(f"{member} stayed in sync for {deadline_s:.0f} s")
            return
        self.gathered.detected_s = max(gone.at_s, self.gathered.fault_s)
        self.mark(f"{member} out of sync", gone.at_s)

    def wait_protected(self, *, from_s: float, deadline_s: float = PROTECT_S) -> None:
        """Until a record with a sync member was seen from ``from_s`` on; noted, or remarked on."""
        seen = self.sampler.wait_protected(from_s=from_s, deadline_s=deadline_s)
        if seen is None:
            self.gathered.remarks.append(f"not protected again within {deadline_s:.0f} s")
            return
        self.gathered.protected_s = max(seen.at_s, from_s)
        self.mark("protected again", self.gathered.protected_s)

    def record(self) -> Record | None:
        """The newest record that was seen."""
        return self.sampler.records[-1].record if self.sampler.records else None

    def follow_names(self) -> None:
        """DNS credentials are on no host (safety G4): the operator's side moves the names after the database moved."""
        began = boot_s()
        try:
            answer = carry_out(
                self.wired, NamesWish(), approval=Approval(yes=True), watch=self.watch, interrupt=self.interrupt
            )
        except FailoverError as error:
            self.gathered.remarks.append(f"names: {error}")
            return
        if isinstance(answer, RunReport):
            self.gathered.run = self.gathered.run or answer.run
            self.gathered.phases.append(
                Phase(name="names at live DNS providers", started_s=self.since(began), seconds=boot_s() - began)
            )

    def measure_names(self) -> None:
        """Ask every DNS server that lives, directly: the API's "done" is not what users see."""
        record, gathered = self.record(), self.gathered
        if record is None:
            return
        live = frozenset(site.name for site in self.wired.fleet.sites if not self.provider.away(site.name))
        wanted = wanted_names(self.wired.fleet, record.primary_site, live)
        for one in names(self.wired, look(self.wired)):
            if one.site not in live:
                continue
            gathered.dns_alive += 1
            answers = one.answers or {}
            if all(sorted(answers.get(name, ())) == sorted(addresses) for name, addresses in wanted.items()):
                gathered.dns_correct += 1
        if gathered.dns_alive and gathered.dns_correct == gathered.dns_alive:
            gathered.dns_right_s = boot_s() - gathered.fault_s
