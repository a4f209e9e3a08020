"""Adapter: the Pulumi engine behind ``ports.provisioner``. Starts ``stacks/run.py``, one process per call and site.

Never here: an import of pulumi, infra or stacks. The stacks are a program of their own, so that a broken SDK, or one
that is not installed, cannot keep ``failover`` from moving a fleet.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from failover.adapters.pulumi_process import StackProcess
from failover.errors import Damaged
from failover.model.outputs import SiteOutputs
from failover.model.secret import Secret
from failover.ports.provisioner import ResourceChange, SiteRequest, StackPreview, StackProgress, StackResult

T = TypeVar("T")


class _Preview(msgspec.Struct, frozen=True, kw_only=True):
    changes: tuple[ResourceChange, ...]


class _Up(msgspec.Struct, frozen=True, kw_only=True):
    outputs: SiteOutputs
    changed: int
    seconds: float


class _Outputs(msgspec.Struct, frozen=True, kw_only=True):
    outputs: dict[str, object]


class _Destroyed(msgspec.Struct, frozen=True, kw_only=True):
    removed: int


class PulumiProvisioner:
    """Implements ``ports.provisioner.Provisioner`` with the Pulumi command line and its file back end.

    ``root`` is the checkout that holds ``stacks/`` and ``infra/``; ``state_dir`` this fleet's ``.failover/pulumi``;
    ``program`` the Pulumi command line. Two fleets on one checkout do not meet.
    """

    def __init__(self, *, root: Path, state_dir: Path, program: Path, passphrase: Secret) -> None:
        self._process = StackProcess(
            root=root.absolute(), state_dir=state_dir.absolute(), program=program, passphrase=passphrase
        )

    def preview(self, request: SiteRequest, *, deadline_s: float) -> StackPreview:
        """What would change, after looking at what is really there. Changes nothing."""
        answer = self._call("preview", request, deadline_s, _quiet)
        return StackPreview(site=request.site.name, changes=_typed(answer, _Preview, request.site.name).changes)

    def up(self, request: SiteRequest, *, progress: Callable[[StackProgress], None], deadline_s: float) -> StackResult:
        """Refresh, then make it so. Repeatable; a second call changes nothing."""
        done = _typed(self._call("up", request, deadline_s, progress), _Up, request.site.name)
        return StackResult(outputs=done.outputs, changed=done.changed, seconds=done.seconds)

    def destroy(self, request: SiteRequest, *, progress: Callable[[StackProgress], None], deadline_s: float) -> int:
        """Remove everything the stack made, and the stack; how many resources went. 0 when there were none."""
        return _typed(self._call("destroy", request, deadline_s, progress), _Destroyed, request.site.name).removed

    def outputs(self, site: str, *, deadline_s: float) -> SiteOutputs | None:
        """Exports of the last ``up``, or ``None`` when the stack has none. Starts no engine."""
        answer = self._process.call("outputs", site, config={}, secrets={}, deadline_s=deadline_s, progress=_quiet)
        found = _typed(answer, _Outputs, site).outputs
        return _typed(msgspec.json.encode(found), SiteOutputs, site) if found else None

    def interrupt(self) -> None:
        """Stop every call in progress, in good order: the engine saves its state first. For signal handlers."""
        self._process.interrupt()

    def _call(
        self, operation: str, request: SiteRequest, deadline_s: float, progress: Callable[[StackProgress], None]
    ) -> bytes:
        config, secrets = stack_configuration(request)
        return self._process.call(
            operation,
            request.site.name,
            config=config,
            secrets=secrets,
            deadline_s=deadline_s,
            progress=progress,
            before_store=request.before_store,
        )


def stack_configuration(request: SiteRequest) -> tuple[dict[str, str], dict[str, Secret]]:
    """The stack's configuration for a site: what may be read, and what is only kept encrypted."""
    site, first = request.site, request.bootstrap
    config = {
        "kind": site.kind,
        "fleet": first.fleet,
        "site": first.site,
        "provider": first.provider,
        "address": first.address,
        "agentPort": str(first.agent_port),
        "hostDir": first.host_dir,
        "agentVersion": first.agent_version,
        "agentDigest": first.agent_digest,
        "fleetCaPem": first.fleet_ca_pem,
    }
    if site.dns:
        config |= {"zone": request.zone, "zoneServer": f"{site.address}:{site.ports.dns}"}
    secrets = {"token": Secret(first.token)}
    if request.dns_api_key is not None:
        secrets["dnsApiKey"] = request.dns_api_key
    if request.store is not None and request.store_key is not None:
        store = request.store
        config |= {
            "bucket": store.bucket,
            "storeKind": store.kind,
            "storeEndpoint": store.endpoint,
            "storeRegion": store.region,
        }
        secrets |= {"storeAccessKey": Secret(request.store_key.access_key), "storeSecretKey": request.store_key.secret}
    return config, secrets


def _quiet(_progress: StackProgress) -> None:
    return None


def _typed(answer: bytes, kind: type[T], site: str) -> T:
    try:
        return msgspec.json.decode(answer, type=kind)
    except msgspec.ValidationError as problem:
        raise Damaged(
            f"the stack's exports are not those of this version: {problem}",
            where=site,
            hint="run `failover deploy` once more; it writes them again",
        ) from problem
