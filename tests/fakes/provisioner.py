"""A provider in memory: machines are entries of a dict. Keeps the promises of ``ports.provisioner``; nothing runs."""

from __future__ import annotations

import threading
from collections.abc import Callable

from failover.errors import LeaseHeld, Unreachable
from failover.model.outputs import SiteOutputs
from failover.ports.provisioner import ResourceChange, SiteRequest, StackPreview, StackProgress, StackResult

Facts = dict[str, object]


class MemoryProvisioner:
    """``made`` is what the stacks believe, ``there`` what really is; a test takes away from ``there``.

    ``trouble`` of a site: "" or "unreachable"; ``busy`` names sites whose stack another run holds.
    """

    def __init__(self) -> None:
        self.made: dict[str, dict[str, Facts]] = {}
        self.there: dict[str, dict[str, Facts]] = {}
        self.exports: dict[str, SiteOutputs] = {}
        self.trouble: dict[str, str] = {}
        self.busy: set[str] = set()
        self._guard = threading.Lock()

    def preview(self, request: SiteRequest, *, deadline_s: float) -> StackPreview:
        self._reach(request)
        return StackPreview(site=request.site.name, changes=self._changes(request))

    def up(self, request: SiteRequest, *, progress: Callable[[StackProgress], None], deadline_s: float) -> StackResult:
        self._reach(request)
        site = request.site
        with self._guard:
            changes = [change for change in self._changes(request) if change.operation != "same"]
            for change in changes:
                for phase in ("started", "done"):
                    progress(_progress(site.name, change, phase))
            wanted = _wanted(request, self.made.get(site.name, {}))
            self.made[site.name], self.there[site.name] = dict(wanted), dict(wanted)
            self.exports[site.name] = SiteOutputs(
                site=site.name,
                provider=site.provider,
                address=site.address,
                agent_port=site.ports.agent,
                host_id=f"host-{site.name}-{request.bootstrap.token}",
                zone_servers=(f"{site.address}:{site.ports.dns}",) if site.dns else (),
            )
        return StackResult(outputs=self.exports[site.name], changed=len(changes), seconds=0.0)

    def destroy(self, request: SiteRequest, *, progress: Callable[[StackProgress], None], deadline_s: float) -> int:
        self._reach(request)
        name = request.site.name
        with self._guard:
            self.made.pop(name, None)
            self.exports.pop(name, None)
            gone = self.there.pop(name, {})
            for resource in gone:
                change = ResourceChange(resource=resource, operation="delete")
                for phase in ("started", "done"):
                    progress(_progress(name, change, phase))
        return len(gone)

    def outputs(self, site: str, *, deadline_s: float) -> SiteOutputs | None:
        return self.exports.get(site)

    def _reach(self, request: SiteRequest) -> None:
        if request.site.name in self.busy:
            raise LeaseHeld("another run holds this stack", where=request.site.name)
        if self.trouble.get(request.site.name):
            raise Unreachable("the provider does not answer", where=request.site.name)

    def _changes(self, request: SiteRequest) -> tuple[ResourceChange, ...]:
        name = request.site.name
        there = {key: value for key, value in self.made.get(name, {}).items() if key in self.there.get(name, {})}
        found = []
        for resource, wanted in _wanted(request, self.made.get(name, {})).items():
            had = there.get(resource)
            fields = tuple(sorted(key for key in wanted if had is not None and had[key] != wanted[key]))
            operation = "create" if had is None else "replace" if fields else "same"
            found.append(ResourceChange(resource=resource, operation=operation, fields=fields))
        return tuple(found)


def _wanted(request: SiteRequest, made: dict[str, Facts]) -> dict[str, Facts]:
    first, name = request.bootstrap, request.site.name
    bucket = f"Bucket {name}-bucket"
    host: Facts = {"address": first.address, "agentPort": first.agent_port, "hostDir": first.host_dir}
    wanted = {f"Host {name}": host}
    if request.site.dns:
        wanted[f"Zone {name}-zone"] = host | {"zone": request.zone}
    if request.store is not None and not (request.before_store and bucket not in made):
        wanted[bucket] = {"bucket": request.store.bucket, "endpoint": request.store.endpoint}
    return wanted


def _progress(site: str, change: ResourceChange, phase: str) -> StackProgress:
    return StackProgress(site=site, resource=change.resource, operation=change.operation, phase=phase)
