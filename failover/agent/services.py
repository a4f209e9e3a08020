"""Starts, adopts and watches the host's services, so that what runs is what the spec says; PostgreSQL is the keeper's.

A service whose digest did not change is never touched; one that died is started again, slower each time.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

import msgspec

from failover.agent.view import HostView, boot_s
from failover.errors import FailoverError, Refused, Unreachable
from failover.model.observation import ServiceFacts
from failover.model.spec import HOOK_BUDGET_S, ServiceSpec
from failover.ports.processes import Handle, Processes

_RESUME_LOOK_S = 0.2
_PAUSES_S = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)


class _Known(msgspec.Struct, kw_only=True):
    """What the registry on disk says of one service; it outlives the agent."""

    handle: Handle
    digest: str
    started_s: float
    starts: int


class Services:
    """Reconciles until cancelled."""

    def __init__(self, view: HostView, processes: Processes) -> None:
        self._view = view
        self._processes = processes
        self._registry = view.host_dir / "run" / "services.json"
        self._known: dict[str, _Known] = self._load()
        self._quick_deaths: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._done_once: set[str] = set()
        self._resumed: set[str] = set()
        self._pass = asyncio.Lock()

    async def run(self) -> None:
        """Keep what runs in step, and let go on what was quiesced, until cancelled. Beside each other: a ``resume``
        that hangs must not keep the app at the new primary from starting."""
        await asyncio.gather(self._keep_all(), self._resume_all())

    async def _keep_all(self) -> None:
        """Reconcile for ever, at once when this site begins or ends to be the primary."""
        while True:
            self._view.services_due.clear()
            await self.reconcile()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._view.services_due.wait(), 0.5)

    async def reconcile(self) -> None:
        """One pass, and one at a time: two would start a service twice. Services are independent: one that does not
        start keeps no other from starting."""
        async with self._pass:
            spec = self._view.spec
            if spec is None:
                return
            wanted = {s.name: s for s in spec.services if self._is_wanted(s)}
            gone = [name for name in self._known if name not in wanted]
            await asyncio.gather(*(self._stop(name, timeout_s=3.0) for name in gone))
            await asyncio.gather(*(self._keep(service) for service in wanted.values()))

    def _is_wanted(self, service: ServiceSpec) -> bool:
        if service.stops_for_a_move and self._view.quiesced():
            return False
        running = service.name in self._known
        return service.start == "always" or self._view.serving or (running and self._view.may_reign())

    async def quiesce(self) -> None:
        """What writes without a request ends now, by its hook or by being stopped. Repeatable; under a run's quiesce
        only, whose end resumes it. Raises ``Refused`` when a hook fails: then nothing may be moved."""
        await self.reconcile()
        spec = self._view.spec
        hooked = [s for s in spec.services if s.quiesce and self._is_wanted(s)] if spec is not None else []
        ended = await asyncio.gather(*(self._pause(service) for service in hooked), return_exceptions=True)
        for error in ended:
            if error is not None:
                raise error

    async def _pause(self, service: ServiceSpec) -> None:
        self._resumed.discard(service.name)
        try:
            await self._hook(service, service.quiesce)
        finally:
            # Whoever asked may have given up and resumed it while the hook was on its way: then it is paused again.
            self._resumed.discard(service.name)

    async def _resume_all(self) -> None:
        while True:
            await self.resume()
            await asyncio.sleep(_RESUME_LOOK_S)

    async def resume(self) -> None:
        """Once after each quiesce, and once in an agent's life: the one before may have died in between. At the
        primary not before it serves: a worker that goes on earlier meets a database that refuses its writes."""
        view, record = self._view, self._view.record
        elsewhere = record is not None and record.primary_site != view.site
        if view.quiesced() or view.spec is None or not (view.serving or elsewhere):
            return
        for service in view.spec.services:
            running = service.name in self._known and self._is_wanted(service)
            if service.resume and running and service.name not in self._resumed:
                try:
                    await self._hook(service, service.resume)
                except Refused as error:
                    self._view.trouble[f"resume {service.name}"] = str(error)
                    continue
                self._view.trouble.pop(f"resume {service.name}", None)
                self._resumed.add(service.name)

    async def _hook(self, service: ServiceSpec, command: tuple[str, ...]) -> None:
        words = [self.filled(word) for word in command]
        environment = self._environment(service)
        try:
            done = await asyncio.to_thread(
                self._processes.run, words, environment=environment, deadline_s=HOOK_BUDGET_S, nice=0
            )
        except (Unreachable, OSError) as error:
            raise Refused(f"{service.name}: the hook {command[0]} cannot be run to its end: {error}") from error
        if done.status != 0:
            raise Refused(f"{service.name}: the hook {command[0]} ended with {done.status}: {done.output[-300:]}")

    def _environment(self, service: ServiceSpec) -> dict[str, str]:
        environment = {key: self.filled(value) for key, value in service.environment.items()}
        return {**environment, "FAILOVER_HOST_DIR": str(self._view.host_dir)}

    async def _keep(self, service: ServiceSpec) -> None:
        name, known = service.name, self._known.get(service.name)
        alive = known is not None and self._processes.alive(known.handle)
        if known is not None and alive and known.digest == service.digest():
            if boot_s() - known.started_s > 10:
                self._quick_deaths.pop(name, None)
            self._view.trouble.pop(f"service {name}", None)
            return
        if known is not None and alive:
            await self._stop(name, timeout_s=service.stop_timeout_s)
        elif known is not None and boot_s() - known.started_s < 10 and name not in self._not_before:
            deaths = self._quick_deaths[name] = self._quick_deaths.get(name, 0) + 1
            self._not_before[name] = boot_s() + _PAUSES_S[min(deaths, len(_PAUSES_S) - 1)]
        if boot_s() < self._not_before.get(name, 0.0):
            return
        self._not_before.pop(name, None)
        try:
            await self._start(service, starts=known.starts + 1 if known is not None else 1)
        except (FailoverError, OSError) as error:
            self._view.trouble[f"service {name}"] = str(error)
            self._quick_deaths[name] = self._quick_deaths.get(name, 0) + 1
            self._not_before[name] = boot_s() + _PAUSES_S[min(self._quick_deaths[name], len(_PAUSES_S) - 1)]

    async def _start(self, service: ServiceSpec, *, starts: int) -> None:
        self.write_files(service)
        environment = self._environment(service)
        if service.digest() not in self._done_once:
            for command in service.once:
                await self._run_once(service, command, environment)
            self._done_once.add(service.digest())
        handle = self._processes.start(
            [self.filled(word) for word in service.command],
            environment=environment,
            log=self._view.host_dir / "log" / f"{service.name}.log",
            nice=service.nice,
        )
        self._known[service.name] = _Known(handle=handle, digest=service.digest(), started_s=boot_s(), starts=starts)
        self._save()

    async def _run_once(self, service: ServiceSpec, command: tuple[str, ...], environment: dict[str, str]) -> None:
        words = [self.filled(word) for word in command]
        done = await asyncio.to_thread(self._processes.run, words, environment=environment, deadline_s=30.0, nice=0)
        if done.status != 0:
            raise Unreachable(f"{service.name}: {command[0]} ended with {done.status}: {done.output[-300:]}")

    async def _stop(self, name: str, *, timeout_s: float) -> None:
        known = self._known.pop(name)
        self._save()
        await asyncio.to_thread(self._processes.stop, known.handle, number=signal.SIGTERM, timeout_s=timeout_s)

    def write_files(self, service: ServiceSpec) -> None:
        """Its files, atomically; parents are made."""
        for file in service.files:
            path = self._view.host_dir / file.path
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = path.with_name(f".{path.name}.new")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, file.mode)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(self.filled(file.text))
            temporary.replace(path)

    def filled(self, text: str) -> str:
        """``{host}`` becomes this host's folder; everything else stays as it is."""
        return text.replace("{host}", str(self._view.host_dir))

    def facts(self) -> tuple[ServiceFacts, ...]:
        """Every service of the spec."""
        spec = self._view.spec
        return tuple(self._one(service) for service in spec.services) if spec is not None else ()

    def _one(self, service: ServiceSpec) -> ServiceFacts:
        known = self._known.get(service.name)
        if known is None:
            state = "failed" if self._is_wanted(service) else "stopped"
            return ServiceFacts(name=service.name, state=state)
        alive = self._processes.alive(known.handle)
        return ServiceFacts(
            name=service.name,
            state="running" if alive else "failed",
            pid=known.handle.pid if alive else 0,
            starts=known.starts,
            digest=known.digest,
        )

    def _load(self) -> dict[str, _Known]:
        if not self._registry.exists():
            return {}
        try:
            return msgspec.json.decode(self._registry.read_bytes(), type=dict[str, _Known])
        except msgspec.MsgspecError:
            # A registry cut short by a crash: the services it named still hold their ports, and their starts fail
            # loudly, which is seen; forgetting them silently would not be.
            self._view.trouble["services"] = f"{self._registry} is damaged: services of before are not adopted"
            return {}

    def _save(self) -> None:
        self._registry.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._registry.with_suffix(".new")
        temporary.write_bytes(msgspec.json.encode(self._known))
        Path(temporary).replace(self._registry)
