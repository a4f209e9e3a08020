"""Which voter is asked first: the nearest that is not known to be in trouble.

The order given is the order of distance, and a client comes back to it. One that stayed with whoever had answered last
went on asking a data site's voter long after its own had been started again, and so called a provider that had died
meanwhile. Who failed, or was silent for ``silent_s``, waits behind the others: a second, then twice as long each time.

What must never be here: a clock, a connection.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

_BEHIND_S = 1.0
_BEHIND_MOST_S = 8.0


@dataclass(slots=True)
class _Standing:
    answered_at: float | None = None
    asked_at: float | None = None  # the oldest call since the last answer
    behind_until: float = 0.0
    behind_s: float = _BEHIND_S


class Merit:
    """Remembers how each endpoint did. ``now`` is in seconds of one clock that never goes back. Safe for threads."""

    def __init__(self, endpoints: tuple[str, ...], *, silent_s: float) -> None:
        self._standings = {endpoint: _Standing() for endpoint in endpoints}
        self._silent_s = silent_s
        self._lock = threading.Lock()

    def order(self, now: float) -> list[str]:
        """Every endpoint once: the nearest first, those in trouble last."""
        with self._lock:
            for one in self._standings.values():
                if one.asked_at is not None and now - one.asked_at > self._silent_s:
                    _put_behind(one, now)
            return sorted(self._standings, key=lambda endpoint: self._standings[endpoint].behind_until > now)

    def asked(self, endpoint: str, now: float) -> None:
        """A call goes out to it."""
        with self._lock:
            one = self._standings[endpoint]
            one.asked_at = now if one.asked_at is None else one.asked_at

    def answered(self, endpoint: str, now: float) -> None:
        """It answered, with a yes or a no."""
        with self._lock:
            self._standings[endpoint] = _Standing(answered_at=now)

    def failed(self, endpoint: str, now: float) -> None:
        """It could not be reached, broke off, or could not ask the others."""
        with self._lock:
            _put_behind(self._standings[endpoint], now)

    def answered_within(self, endpoint: str, age_s: float, now: float) -> bool:
        """It has answered in the last ``age_s``, and nothing bad was seen of it since."""
        with self._lock:
            at = self._standings[endpoint].answered_at
        return at is not None and now - at <= age_s


def _put_behind(one: _Standing, now: float) -> None:
    one.answered_at = one.asked_at = None
    if one.behind_until <= now:
        one.behind_until = now + one.behind_s
        one.behind_s = min(2 * one.behind_s, _BEHIND_MOST_S)
