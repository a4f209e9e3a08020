"""The tree of known errors: stable code, exit status, whether a retry may help, and the next thing to type.

Anything raised that is not a ``FailoverError`` is a bug and is shown with its traceback. A refusal (the planner's
"no") is a value, not an error; ``Refused`` only carries it to the exit status.
"""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses scripts may rely on; the table in README.md is compared with this one by a test."""

    DONE = 0
    BUG = 1
    USAGE = 2
    REFUSED = 3
    OBJECTIVE_MISSED = 4
    UNDONE = 5
    RESUMABLE = 6
    LEASE_HELD = 7
    UNREACHABLE = 8
    DAMAGED = 9
    INTERRUPTED = 130


class FailoverError(Exception):
    """What went wrong (``message``), where, and what to type next (``hint``).

    ``code`` is stable across versions; ``retriable`` says that the same call may succeed later without a change.
    """

    code = "error"
    exit_status = Exit.BUG
    retriable = False

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        place = f" ({self.where})" if self.where else ""
        return f"{self.message}{place}"


class UsageError(FailoverError):
    """The command or the configuration is wrong; nothing was touched."""

    code = "usage"
    exit_status = Exit.USAGE


class ConfigError(UsageError):
    """The fleet file has problems; the findings carry file, line, column and hint of each."""

    code = "config"


class Refused(FailoverError):
    """The planner said no, a hazard was not accepted, or the approval names another plan. Nothing was changed."""

    code = "refused"
    exit_status = Exit.REFUSED


class ObjectiveMissed(FailoverError):
    """Done, but a measured objective did not hold."""

    code = "objective-missed"
    exit_status = Exit.OBJECTIVE_MISSED


class Undone(FailoverError):
    """Stopped before the commit step and undone; the old state serves."""

    code = "undone"
    exit_status = Exit.UNDONE
    retriable = True


class Resumable(FailoverError):
    """Stopped after the commit step; only forward from here."""

    code = "resumable"
    exit_status = Exit.RESUMABLE
    retriable = True


class LeaseHeld(FailoverError):
    """Another run holds the lease; the message says who and since when."""

    code = "lease-held"
    exit_status = Exit.LEASE_HELD
    retriable = True


class LeaseLost(FailoverError):
    """The lease this run held is gone; its writes are refused from now on."""

    code = "lease-lost"
    exit_status = Exit.LEASE_HELD


class Unreachable(FailoverError):
    """Something needed did not answer; the message says what, and from where it was asked."""

    code = "unreachable"
    exit_status = Exit.UNREACHABLE
    retriable = True


class ProviderRefuses(FailoverError):
    """A provider refuses or does not answer, and not only for a moment. Final for this run: what does not need it goes
    on, and the hint says what to type once it answers again."""

    code = "provider-refuses"
    exit_status = Exit.UNREACHABLE


class OutcomeUnknown(Unreachable):
    """A change was sent and no answer came: it may or may not have happened. Look before sending it again."""

    code = "outcome-unknown"
    retriable = False


class Slow(Unreachable):
    """It answered, but asks for less: busy, throttled. ``retry_after_s`` is its own wish, or ``None``."""

    code = "slow"

    def __init__(self, message: str, *, where: str = "", hint: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message, where=where, hint=hint)
        self.retry_after_s = retry_after_s


class NotFound(FailoverError):
    """What was asked for by name is not there. An answer, not a silence."""

    code = "not-found"
    exit_status = Exit.UNREACHABLE


class Exists(FailoverError):
    """Should have been made new, but is there already; it was left as it is."""

    code = "exists"
    exit_status = Exit.REFUSED


class StoreFull(FailoverError):
    """No room left, or the account's quota is used up. What was there before is untouched."""

    code = "store-full"
    exit_status = Exit.UNREACHABLE


class ReadOnly(FailoverError):
    """It answers reads and takes no writes; nothing was changed."""

    code = "read-only"
    exit_status = Exit.UNREACHABLE


class Damaged(FailoverError):
    """What is stored does not pass its own checks: journal, record, snapshot."""

    code = "damaged"
    exit_status = Exit.DAMAGED


class Denied(FailoverError):
    """A signature, certificate or token was refused."""

    code = "denied"
    exit_status = Exit.UNREACHABLE


class Interrupted(FailoverError):
    """The operator stopped it; the hint says how to go on."""

    code = "interrupted"
    exit_status = Exit.INTERRUPTED
