"""What a run says of itself: each step as it goes, and how it ended (``failover/run/v1``). Shown, never decided on."""

from __future__ import annotations

import msgspec

from failover.model.finding import Finding
from failover.model.plan import Plan
from failover.model.status import Status

SCHEMA = "failover/run/v1"
PLAN_SCHEMA = "failover/plan/v1"
PROGRESS_SCHEMA = "failover/progress/v1"


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """One thing worth showing while it goes on. ``kind``: "step", "resource", "note" or "transfer"; ``phase``: started,
    done, failed, unknown, not tried. A transfer has bytes, a rate and the time left (``None``: not known)."""

    schema: str = PROGRESS_SCHEMA
    at: str
    kind: str
    run: str = ""
    step: str = ""
    title: str = ""
    site: str = ""
    phase: str = ""
    detail: str = ""
    seconds_s: float | None = None
    undoing: bool = False
    done_bytes: int | None = None
    total_bytes: int | None = None
    rate_bytes_s: float | None = None
    left_s: float | None = None


class StepEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How one step ended. ``outcome`` "not tried": a step it needed did not get done."""

    id: str
    title: str
    outcome: str
    detail: str
    seconds_s: float
    performed: bool
    required: bool


class RunReport(msgspec.Struct, frozen=True, kw_only=True):
    """A run that ended, and the fleet as it was seen afterwards. ``missed``: what did not get done or does not hold.
    ``at_risk`` and ``lost``: what a promotion stated before, and what is known after it."""

    schema: str = SCHEMA
    verb: str
    run: str
    digest: str
    state: str
    summary: str
    seconds_s: float
    steps: tuple[StepEnd, ...]
    missed: tuple[str, ...] = ()
    after: Status | None = None
    at_risk: str = ""
    lost: tuple[str, ...] = ()


class PlanShown(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as ``--dry-run --json`` prints it."""

    schema: str = PLAN_SCHEMA
    digest: str
    plan: Plan


class RefusalShown(msgspec.Struct, frozen=True, kw_only=True):
    """The planner's no as ``--json`` prints it."""

    schema: str = "failover/refusal/v1"
    verb: str
    summary: str
    findings: tuple[Finding, ...]


class ChangeShown(msgspec.Struct, frozen=True, kw_only=True):
    """One resource of a preview: ``operation`` is create, update, replace, delete or same."""

    resource: str
    operation: str
    fields: tuple[str, ...] = ()


class SitePreview(msgspec.Struct, frozen=True, kw_only=True):
    """What ``deploy`` would change at one site's provider."""

    site: str
    changes: tuple[ChangeShown, ...]


class PreviewShown(msgspec.Struct, frozen=True, kw_only=True):
    """All sites asked; ``failed``: site -> why nothing is known."""

    schema: str = "failover/preview/v1"
    sites: tuple[SitePreview, ...]
    failed: dict[str, str]
