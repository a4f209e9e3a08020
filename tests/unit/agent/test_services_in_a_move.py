"""What of an app without a gate runs when: at the primary only, stopped for a move, and let go on after it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import pytest

from failover.agent.services import Services
from failover.agent.view import HostView, boot_s
from failover.errors import Refused, Unreachable
from failover.model.observation import DatabaseFacts
from failover.model.secret import FleetSecrets, Secret
from failover.model.spec import HostSpec, ServiceSpec
from failover.planner.gate import Hold
from failover.planner.hostspec import host_spec
from failover.ports.processes import Finished, Handle
from tests.fakes.hosts import fleet, record

SECRETS = FleetSecrets(
    app_password=Secret("a"), replication_password=Secret("r"), keeper_password=Secret("k"),
    dns_api_keys={"alpha": Secret("d"), "beta": Secret("d")}, bootstrap_tokens={}, pulumi_passphrase=Secret("p"),
)  # fmt: skip
WEB = ServiceSpec(name="web", command=("web",), start="when_primary")
WORKER = ServiceSpec(name="worker", command=("worker",), start="when_primary", stops_for_a_move=True)
HOOKED = ServiceSpec(name="hooked", command=("hooked",), quiesce=("pause",), resume=("go-on",))


class Started:
    """Processes in memory: a set of names that run, and every hook that was called."""

    def __init__(self) -> None:
        self.running: dict[int, str] = {}
        self.hooks: list[str] = []
        self.hook_status = 0
        self.hook_error: Exception | None = None
        self.in_hook: Callable[[str], None] = lambda _: None

    def start(self, command: Sequence[str], **_: object) -> Handle:
        pid = len(self.running) + 1000 + len(self.hooks)
        while pid in self.running:
            pid += 1
        self.running[pid] = command[0]
        return Handle(pid=pid, start_ticks=1)

    def run(self, command: Sequence[str], *, environment: Mapping[str, str], deadline_s: float, nice: int) -> Finished:
        self.hooks.append(command[0])
        self.in_hook(command[0])
        if self.hook_error is not None:
            raise self.hook_error
        return Finished(status=self.hook_status, output="no")

    def alive(self, handle: Handle) -> bool:
        return handle.pid in self.running

    def stop(self, handle: Handle, *, number: int, timeout_s: float) -> bool:
        return self.running.pop(handle.pid, None) is not None

    @property
    def names(self) -> set[str]:
        return set(self.running.values())


class Host:
    """The services of alpha under a record that says who is primary."""

    def __init__(self, folder: Path) -> None:
        spec: HostSpec = host_spec(fleet(), fleet().site("alpha"), SECRETS, serial=1)
        self.view = HostView(host_dir=folder, site="alpha", provider="north")
        self.view.adopt_spec(msgspec.structs.replace(spec, services=(WEB, WORKER, HOOKED)))
        self.view.record = record()
        self.processes = Started()
        self.services = Services(self.view, self.processes)  # type: ignore[arg-type]

    def turn(self, database: str, *, serving: bool) -> set[str]:
        self.view.database = DatabaseFacts(state=database)
        self.view.serving = serving
        asyncio.run(self.services.reconcile())
        asyncio.run(self.services.resume())
        return self.processes.names

    def hold(self, until_s: float = 60.0) -> None:
        self.view.quiesce = Hold(run="r", epoch=record().epoch, until_s=boot_s() + until_s)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def test_what_runs_at_the_primary_starts_when_the_site_serves_and_stops_with_it(host: Host) -> None:
    assert host.turn("standby", serving=False) == {"hooked"}
    assert host.turn("primary", serving=False) == {"hooked"}, "promoted, but not yet safe to read"
    assert host.turn("primary", serving=True) == {"web", "worker", "hooked"}
    assert host.turn("stopped", serving=False) == {"hooked"}


def test_a_standby_that_is_away_is_no_reason_to_stop_the_app(host: Host) -> None:
    host.turn("primary", serving=True)
    assert host.turn("primary", serving=False) == {"web", "worker", "hooked"}
    assert host.turn("starting", serving=False) == {"web", "worker", "hooked"}
    host.view.record = record(primary=record().sync[0], sync=(record().primary,))
    assert host.turn("primary", serving=False) == {"hooked"}


def test_a_new_agent_leaves_alone_what_its_predecessor_started(host: Host) -> None:
    host.turn("primary", serving=True)
    host.services = Services(host.view, host.processes)  # type: ignore[arg-type]
    host.view.record = None
    assert host.turn("absent", serving=False) == {"web", "worker", "hooked"}


def test_a_quiesce_stops_workers_and_runs_hooks_and_its_end_takes_it_back(host: Host) -> None:
    host.turn("primary", serving=True)
    host.turn("primary", serving=True)
    host.processes.hooks.clear()
    host.hold()
    asyncio.run(host.services.quiesce())
    assert host.processes.names == {"web", "hooked"}
    assert host.processes.hooks == ["pause"]
    assert host.turn("primary", serving=True) == {"web", "hooked"}, "as long as it lasts"
    host.hold(until_s=-1.0)
    assert host.turn("primary", serving=True) == {"web", "worker", "hooked"}
    host.turn("primary", serving=True)
    assert host.processes.hooks == ["pause", "go-on"], "once"


def test_a_quiesce_ends_with_its_epoch(host: Host) -> None:
    host.turn("primary", serving=True)
    host.hold()
    host.view.record = record(epoch=record().epoch + 1)
    assert host.turn("primary", serving=True) == {"web", "worker", "hooked"}


def test_a_hook_that_fails_refuses_the_move_and_is_resumed(host: Host) -> None:
    host.turn("primary", serving=True)
    host.hold()
    host.processes.hook_status = 3
    with pytest.raises(Refused, match="ended with 3"):
        asyncio.run(host.services.quiesce())
    host.view.quiesce = None
    host.turn("primary", serving=True)
    assert "resume hooked" in host.view.trouble
    host.processes.hook_status = 0
    host.turn("primary", serving=True)
    assert "resume hooked" not in host.view.trouble


@pytest.mark.parametrize("error", [Unreachable("pause did not end within 10 s"), FileNotFoundError("pause")])
def test_a_hook_that_hangs_or_is_not_there_refuses_the_move_and_ends_no_agent(host: Host, error: Exception) -> None:
    host.turn("primary", serving=True)
    host.hold()
    host.processes.hook_error = error
    with pytest.raises(Refused, match="hooked: the hook pause cannot be run to its end"):
        asyncio.run(host.services.quiesce())
    host.view.quiesce = None
    host.turn("primary", serving=True)
    assert "cannot be run to its end" in host.view.trouble["resume hooked"]


def test_what_is_quiesced_goes_on_only_once_its_primary_serves(host: Host) -> None:
    host.turn("primary", serving=True)
    host.hold()
    asyncio.run(host.services.quiesce())
    host.processes.hooks.clear()
    host.view.record = record(epoch=record().epoch + 1)
    host.turn("standby", serving=False)
    host.turn("primary", serving=False)
    assert host.processes.hooks == [], "the record says primary, its database does not yet take writes"
    host.turn("primary", serving=True)
    assert host.processes.hooks == ["go-on"]



def test_a_hook_that_ends_after_its_run_gave_up_is_resumed_again(host: Host) -> None:
    """Else the worker stayed paused until the next agent."""
    host.turn("primary", serving=True)
    host.hold()

    def given_up(hook: str) -> None:
        if hook == "pause":
            host.view.quiesce = None
            asyncio.run(host.services.resume())

    host.processes.hooks.clear()
    host.processes.in_hook = given_up
    asyncio.run(host.services.quiesce())
    assert host.processes.hooks == ["pause", "go-on"]
    host.turn("primary", serving=True)
    assert host.processes.hooks == ["pause", "go-on", "go-on"]


def test_two_passes_side_by_side_start_nothing_twice(host: Host) -> None:
    """A quiesce reconciles while the agent's own pass is in the middle of a stop."""

    async def both() -> None:
        await asyncio.gather(host.services.reconcile(), host.services.reconcile())

    host.turn("primary", serving=True)
    changed = msgspec.structs.replace(WEB, command=("web-2",))
    assert host.view.spec is not None
    host.view.adopt_spec(msgspec.structs.replace(host.view.spec, services=(changed, WORKER, HOOKED)))
    asyncio.run(both())
    assert sorted(host.processes.running.values()) == ["hooked", "web-2", "worker"]


def test_an_agent_that_starts_resumes_what_its_predecessor_may_have_quiesced(host: Host) -> None:
    host.turn("primary", serving=True)
    assert host.processes.hooks == ["go-on"]
    host.turn("primary", serving=True)
    assert host.processes.hooks == ["go-on"], "once in its life"
    host.services = Services(host.view, host.processes)  # type: ignore[arg-type]
    host.turn("primary", serving=True)
    assert host.processes.hooks == ["go-on", "go-on"]
