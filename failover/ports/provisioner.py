"""Port: what makes and removes machines, networks and zones at a provider. One stack and one process per site."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from failover.model.bootstrap import Bootstrap
from failover.model.fleet import Site
from failover.model.outputs import SiteOutputs
from failover.model.secret import Secret, StoreKey
from failover.model.stores import StorePlace


class ResourceChange(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a preview: ``operation`` is create, update, replace, delete or same; ``fields`` what differs."""

    resource: str
    operation: str
    fields: tuple[str, ...] = ()


class StackPreview(msgspec.Struct, frozen=True, kw_only=True):
    """What ``up`` would do at one site."""

    site: str
    changes: tuple[ResourceChange, ...]

    @property
    def unchanged(self) -> bool:
        """True when every resource stays as it is."""
        return all(change.operation == "same" for change in self.changes)


class StackProgress(msgspec.Struct, frozen=True, kw_only=True):
    """One engine event worth showing: ``phase`` is started, done or failed."""

    site: str
    resource: str
    operation: str
    phase: str
    message: str = ""


class SiteRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one site's program needs. ``secrets`` become secret stack configuration, never plain state.

    ``store``: the one that the site runs, whose bucket belongs to its stack. ``before_store``: it may not run yet; a
    bucket that was never made is left for a later ``up``.
    """

    site: Site
    bootstrap: Bootstrap
    zone: str
    dns_api_key: Secret | None
    store: StorePlace | None = None
    store_key: StoreKey | None = None
    before_store: bool = False


class StackResult(msgspec.Struct, frozen=True, kw_only=True):
    """What ``up`` did. ``changed`` counts resources that were not "same"."""

    outputs: SiteOutputs
    changed: int
    seconds: float


class Provisioner(Protocol):
    """Each call works on one site only and may run beside calls for other sites.

    Raises ``Unreachable`` when the site's provider does not answer, ``LeaseHeld`` when a live run holds the stack,
    ``Damaged`` when its state cannot be opened. A run killed in the middle is put right by the next ``up``:
    half-made resources are adopted, never made twice.
    """

    def preview(self, request: SiteRequest, *, deadline_s: float) -> StackPreview:
        """What would change, after looking at what is really there. Changes nothing."""
        ...

    def up(
        self, request: SiteRequest, *, progress: Callable[[StackProgress], None], deadline_s: float
    ) -> StackResult:
        """Refresh, then make it so. Repeatable; a second call changes nothing."""
        ...

    def destroy(
        self, request: SiteRequest, *, progress: Callable[[StackProgress], None], deadline_s: float
    ) -> int:
        """Remove everything the stack made; returns how many resources went. Repeatable: 0 when there are none."""
        ...

    def outputs(self, site: str, *, deadline_s: float) -> SiteOutputs | None:
        """Exports of the last ``up``, or ``None`` when the stack has none."""
        ...
