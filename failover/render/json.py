"""Values as the JSON other programs rely on (CONTRACT sections 2 and 3). Builds values; ``render.out`` prints them."""

from __future__ import annotations

import msgspec

from failover.errors import FailoverError
from failover.model.certificate import Certificate
from failover.model.finding import Finding
from failover.model.journal import JournalLine, RunView
from failover.model.plan import Plan, Refusal
from failover.model.record import Record
from failover.model.run_report import PlanShown, RefusalShown
from failover.model.status import Figure, Status, Verdict


class ErrorShown(msgspec.Struct, frozen=True, kw_only=True):
    """The last line on stderr of a command that failed."""

    schema: str = "failover/error/v1"
    code: str
    exit: int
    message: str
    hint: str
    where: str


class CheckShown(msgspec.Struct, frozen=True, kw_only=True):
    """``check --format json``."""

    schema: str = "failover/check/v1"
    status: str
    exit: int
    summary: str
    findings: tuple[Finding, ...]
    figures: tuple[Figure, ...]


class ValidateShown(msgspec.Struct, frozen=True, kw_only=True):
    """``validate --json``."""

    schema: str = "failover/validate/v1"
    file: str
    valid: bool
    findings: tuple[Finding, ...]


class JournalShown(msgspec.Struct, frozen=True, kw_only=True):
    """``journal list --json``, and ``journal show`` with the lines and the plan of one run."""

    schema: str = "failover/journal/v1"
    runs: tuple[RunView, ...]
    lines: tuple[JournalLine, ...] = ()
    plan: Plan | None = None


class CertificatesShown(msgspec.Struct, frozen=True, kw_only=True):
    """``certificate list --json``; ``failed``: site -> why it was not asked."""

    schema: str = "failover/certificates/v1"
    certificates: tuple[Certificate, ...]
    failed: dict[str, str]


class RecordShown(msgspec.Struct, frozen=True, kw_only=True):
    """``record show --json``."""

    schema: str = "failover/record/v1"
    record: Record


class DoneShown(msgspec.Struct, frozen=True, kw_only=True):
    """A command that has nothing else to say."""

    schema: str = "failover/done/v1"
    verb: str
    summary: str
    written: tuple[str, ...] = ()


def error_shown(error: FailoverError) -> ErrorShown:
    """A known error."""
    return ErrorShown(
        code=error.code,
        exit=int(error.exit_status),
        message=error.message,
        hint=error.hint,
        where=error.where,
    )


def plan_shown(plan: Plan) -> PlanShown:
    """A plan with its digest."""
    return PlanShown(digest=plan.digest, plan=plan)


def refusal_shown(refusal: Refusal) -> RefusalShown:
    """A refusal with its reasons."""
    return RefusalShown(verb=refusal.verb, summary=refusal.summary, findings=refusal.findings)


def check_shown(verdict: Verdict) -> CheckShown:
    """A verdict with its figures."""
    return CheckShown(
        status=verdict.level.name,
        exit=int(verdict.level),
        summary=verdict.summary,
        findings=verdict.findings,
        figures=verdict.figures,
    )


def status_shown(view: Status) -> Status:
    """The view is the JSON."""
    return view
