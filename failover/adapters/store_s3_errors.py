"""What an S3 store's "no" means: HTTP status and error code to our tree of errors. No I/O here.

obstore has one class for almost everything, so status and code are read from its text (recorded samples:
tests/unit/adapters_store). Nothing else may match the text of an error.
"""

from __future__ import annotations

import re

from failover.errors import (
    Denied,
    Exists,
    FailoverError,
    NotFound,
    OutcomeUnknown,
    ReadOnly,
    Slow,
    StoreFull,
    Unreachable,
)

_STATUS = re.compile(r"status code: (\d{3})\b")
_CODE = re.compile(r"<Code>(\w+)</Code>")
# obstore prints the chain of causes below this line; "Connect": nothing was sent.
_CAUSES = "\n\nDebug source:"
_NOT_SENT = "kind: Connect"

_FULL = {"QuotaExceeded", "InsufficientStorage", "StorageFull", "XMinioStorageFull", "ServiceQuotaExceeded"}
_READ_ONLY = {"MethodNotAllowed", "ReadOnly"}
_SLOW = {"SlowDown", "ServiceUnavailable", "TooManyRequests", "RequestLimitExceeded", "Throttling"}
_AGAIN = {
    "BadDigest",  # what arrived is not what was sent
    "XAmzContentSHA256Mismatch",
    "XAmzContentChecksumMismatch",
    "IncompleteBody",
    "RequestTimeout",
    "ConditionalRequestConflict",  # another write of the key at the same moment
    "OperationAborted",
}
_CLOCK = "RequestTimeTooSkewed"


def meaning(*, status: int, code: str, what: str, where: str, writes: bool) -> FailoverError:
    """The error of an answer. ``what``: the call, for people; ``writes``: it may have changed something."""
    told = f"{what}: {status}{f' {code}' if code else ''}"
    if code in _AGAIN:
        return Unreachable(told, where=where)
    if code in _FULL or status == 507:
        return StoreFull(told, where=where, hint="make room or raise the quota at the provider")
    if code in _READ_ONLY or status == 405:
        return ReadOnly(told, where=where)
    if code in _SLOW or status in (429, 503):
        return Slow(told, where=where)
    if status == 404:
        return NotFound(told, where=where)
    if status in (409, 412):
        return Exists(told, where=where)
    if code == _CLOCK:
        return Denied(told, where=where, hint="set this host's clock: the provider refuses requests from another time")
    if status >= 500:
        return OutcomeUnknown(told, where=where) if writes else Unreachable(told, where=where)
    return Denied(told, where=where)


def of_obstore(error: Exception, *, what: str, where: str, writes: bool) -> FailoverError:
    """The error behind an exception of obstore."""
    text, _, causes = str(error).partition(_CAUSES)
    if found := _STATUS.search(text):
        code = _CODE.search(text)
        return meaning(status=int(found[1]), code=code[1] if code else "", what=what, where=where, writes=writes)
    if writes and _NOT_SENT not in causes:
        return OutcomeUnknown(f"{what}: the connection broke", where=where)
    return Unreachable(f"{what}: {'no connection' if _NOT_SENT in causes else 'the connection broke'}", where=where)


def is_past_end(error: Exception) -> bool:
    """Asked for a range that begins where the object ends, or later."""
    found = _STATUS.search(str(error).partition(_CAUSES)[0])
    return found is not None and found[1] == "416"
