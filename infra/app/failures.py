"""Which database failures mean "not acknowledged, try again", decided by SQLSTATE alone.

Must never be here: matching on message text.
"""

from __future__ import annotations

import psycopg

# The commit's wait for the synchronous standby was cut short: the row is there, but on one copy. Never acknowledged.
SYNC_WAIT_CUT = "01000"

_AGAIN = frozenset({
    "0A000",  # cached plan must not change result type: the schema was migrated under a prepared statement
    "26000",  # the prepared statement is gone
    "25006",  # read-only transaction: this server is not, or not yet, the primary
    "40001",  # serialization failure
    "40P01",  # deadlock
    "53300",  # too many connections
    "55P03",  # lock not available
    "57014",  # query canceled (drills do it)
    "57P01",  # admin shutdown
    "57P02",  # crash shutdown
    "57P03",  # cannot connect now
    "57P05",  # idle session timeout
})  # fmt: skip
_AGAIN_CLASSES = ("08",)
# After these the connection itself is of no use, though its socket may not say so yet.
_LOST = frozenset({"0A000", "26000", "57P01", "57P02", "57P03", "57P05"})


class NotAcknowledged(Exception):
    """The statement ran but its result must not be believed: a cut wait, or the gate moved away meanwhile."""


def worth_another_try(failure: BaseException) -> bool:
    """True when the same statement may be sent again. Every statement of the app is safe to repeat (idempotency)."""
    if isinstance(failure, NotAcknowledged):
        return True
    if not isinstance(failure, psycopg.Error):
        return False
    state = failure.sqlstate
    if state is None:
        # No SQLSTATE: libpq itself failed, the connection is gone.
        return isinstance(failure, psycopg.OperationalError)
    return state in _AGAIN or state[:2] in _AGAIN_CLASSES


def connection_lost(failure: psycopg.Error) -> bool:
    """True when no other statement should be sent on the connection that failed so."""
    state = failure.sqlstate
    return state is None or state in _LOST or state[:2] in _AGAIN_CLASSES
