"""What obstore says, recorded with version 0.12.1, and what it means."""

from __future__ import annotations

import pytest

from failover.adapters.store_s3_errors import is_past_end, meaning, of_obstore
from failover.errors import Denied, FailoverError, NotFound, OutcomeUnknown, Slow, Unreachable

BUSY = (
    "Generic S3 error: Error performing PUT http://127.0.0.1:1/b/k in 678.396µs - Server returned non-2xx status code: "
    "503 Service Unavailable: <?xml version='1.0'?><Error><Code>SlowDown</Code><Message>msg</Message></Error>\n\n"
    'Debug source:\nGeneric {\n    store: "S3",\n    source: RetryError(…)'
)
PAST = (
    "Generic S3 error: Error performing GET http://127.0.0.1:1/b/k in 1.4ms - Server returned non-2xx status code: "
    '416 Range Not Satisfiable: <?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InvalidRange</Code></Error>'
)
GONE = (
    "Generic S3 error: Error performing list request: Error performing GET http://127.0.0.1:1/b?list-type=2 in 1.1ms - "
    "Server returned non-2xx status code: 404 Not Found: <Error><Code>NoSuchBucket</Code></Error>"
)
CHANGED = (
    "Generic S3 error: Error performing PUT http://127.0.0.1:1/b/k in 1ms - Server returned non-2xx status code: "
    "400 Bad Request: <Error><Code>XAmzContentChecksumMismatch</Code></Error>"
)
REFUSED = (
    "Generic S3 error: Error performing PUT http://127.0.0.1:1/b/k in 155.04µs - HTTP error: error sending request\n\n"
    "Debug source:\nGeneric {\n            inner: Http(\n                HttpError {\n"
    "                    kind: Connect,\n"
)
BROKEN = (
    "Generic S3 error: Error performing PUT http://127.0.0.1:1/b/k in 1.84ms - HTTP error: error sending request\n\n"
    "Debug source:\nGeneric {\n            inner: Http(\n                HttpError {\n"
    "                    kind: Unknown,\n"
)
SHORT = (
    "Generic S3 error: HTTP error: request or response body error\n\n"
    "Debug source:\nGeneric {\n    source: HttpError {\n        kind: Interrupted,\n"
)


@pytest.mark.parametrize(
    ("text", "reading", "writing"),
    [
        (BUSY, Slow, Slow),
        (GONE, NotFound, NotFound),
        (CHANGED, Unreachable, Unreachable),
        (REFUSED, Unreachable, Unreachable),
        (BROKEN, Unreachable, OutcomeUnknown),
        (SHORT, Unreachable, OutcomeUnknown),
        (PAST, Denied, Denied),
        ("something new", Unreachable, OutcomeUnknown),
    ],
)
def test_recorded_samples(text: str, reading: type[FailoverError], writing: type[FailoverError]) -> None:
    for writes, kind in ((False, reading), (True, writing)):
        told = of_obstore(Exception(text), what="put k", where="store a", writes=writes)
        assert type(told) is kind
        assert told.where == "store a"
        assert "put k" in told.message


def test_only_a_range_past_the_end_is_one() -> None:
    assert is_past_end(Exception(PAST))
    assert not is_past_end(Exception(BUSY))
    assert not is_past_end(Exception(BROKEN))


def test_every_status_has_a_meaning_and_none_is_success() -> None:
    for status in range(300, 600):
        for writes in (False, True):
            told = meaning(status=status, code="", what="w", where="s", writes=writes)
            assert told.exit_status != 0
            assert str(status) in told.message
            assert isinstance(told, OutcomeUnknown) == (writes and status >= 500 and status not in (503, 507))


def test_a_wrong_clock_is_said() -> None:
    told = meaning(status=403, code="RequestTimeTooSkewed", what="w", where="s", writes=True)
    assert type(told) is Denied
    assert "clock" in told.hint
