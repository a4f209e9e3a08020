"""Calls to the voters' JSON gateways: which endpoint, how long, and what an unanswered call means.

What must never be here: keys, records, leases; those are ``record_etcd``'s.

Rules: a call that may be repeated is asked of a second voter when the first is slow, and again until the deadline.
A call that changes something is sent to one voter only, and to another one only if not a byte was sent. Which voter
goes first is ``record_etcd_merit``'s.

``httpcore`` and not ``httpx``: the same connections, but httpx imports its own command line (click, rich: 0.13 s).
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import httpcore

from failover.adapters.record_etcd_merit import Merit
from failover.errors import OutcomeUnknown, Unreachable

_NOT_SENT = (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.PoolTimeout)
_BROKEN = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
_ATTEMPT_S = 2.5  # a linearizable read may wait for one election (1.0-1.1 s measured), not for more
_PAUSE_S = 0.03
_THREADS = 24
_KEEPALIVE_S = 15.0


def boottime() -> float:
    """Seconds that go on counting while the machine sleeps (safety D5)."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One reply of one voter: HTTP status and body."""

    endpoint: str
    status: int
    content: bytes

    @property
    def ok(self) -> bool:
        """The voter did what was asked."""
        return self.status == 200

    @property
    def final(self) -> bool:
        """The voter understood and decided (a 4xx says no); 5xx means that it could not ask the others."""
        return self.status < 500


class Voters:
    """Connections to all voters, kept alive, safe for threads. ``tls=None`` speaks plain HTTP (tests only)."""

    def __init__(
        self, *, endpoints: tuple[str, ...], tls: ssl.SSLContext | None, dial_timeout_s: float, hedge_s: float
    ) -> None:
        scheme = "https" if tls is not None else "http"
        self.endpoints = tuple(one if "://" in one else f"{scheme}://{one}" for one in endpoints)
        if not self.endpoints:
            raise ValueError("no endpoints")
        context = tls if tls is not None else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
        self._pools = {
            one: httpcore.ConnectionPool(ssl_context=context, max_connections=64, keepalive_expiry=_KEEPALIVE_S)
            for one in self.endpoints
        }
        self._dial_s = dial_timeout_s
        self._hedge_s = hedge_s
        self._merit = Merit(self.endpoints, silent_s=hedge_s)
        self._threads = ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="record")

    def ask(self, path: str, body: bytes, *, deadline_s: float) -> Answer:
        """A call that may be repeated: the first final answer of any voter. Raises ``Unreachable`` at the deadline."""
        end = boottime() + deadline_s
        order = self._merit.order(boottime())
        due = {endpoint: boottime() + self._hedge_s * place for place, endpoint in enumerate(order)}
        running: dict[Future[Answer], str] = {}
        faults: dict[str, str] = {}
        while (now := boottime()) < end:
            for endpoint in [one for one, at in due.items() if at <= now]:
                del due[endpoint]
                running[self._threads.submit(self._post, endpoint, path, body, min(end - now, _ATTEMPT_S))] = endpoint
            until = min([end, *due.values()])
            if not running:
                time.sleep(max(0.0, until - now))
            for done in wait(running, timeout=until - now, return_when=FIRST_COMPLETED).done:
                endpoint = running.pop(done)
                fault = _fault_of(done)
                if not fault:
                    return done.result()
                faults[endpoint] = fault
                due[endpoint] = again = boottime() + _PAUSE_S
                if done.exception() is None:
                    continue  # it finds no leader: an election or a minority; the others get their turn by the clock
                self._merit.failed(endpoint, boottime())
                untried = [one for one in order if one in due and one not in faults]
                if untried and not running:  # only the next: the one after it may be at the provider that is gone
                    due[untried[0]] = min(due[untried[0]], again)
        faults.update(dict.fromkeys(running.values(), "no answer"))
        raise Unreachable(
            f"no majority of the record's voters answered within {deadline_s:.1f} s ({_told(faults)})",
            where=f"{', '.join(self.endpoints)} {path}",
            hint="failover status shows which voters answer",
        )

    def send_once(self, path: str, body: bytes, *, deadline_s: float) -> Answer:
        """A call that changes something, sent to one voter.

        Raises ``Unreachable`` when it reached nobody, ``OutcomeUnknown`` when it was sent and nobody said what
        became of it: it may still be applied, even after a read that does not show it yet.
        """
        end = boottime() + deadline_s
        faults: dict[str, str] = {}
        for endpoint in self._merit.order(boottime()):
            left = end - boottime()
            if left <= 0:
                break
            try:
                answer = self._post(endpoint, path, body, left)
            except _NOT_SENT as error:
                self._merit.failed(endpoint, boottime())
                faults[endpoint] = repr(error)
                continue
            except _BROKEN as error:
                self._merit.failed(endpoint, boottime())
                raise OutcomeUnknown(f"sent, but no answer came: {error!r}", where=f"{endpoint} {path}") from error
            if answer.final:
                return answer
            raise OutcomeUnknown(f"sent, but the voters did not agree in time: {answer.content!r}", where=endpoint)
        raise Unreachable(f"no voter could be reached ({_told(faults)})", where=f"{', '.join(self.endpoints)} {path}")

    def ask_one(self, endpoint: str, path: str, body: bytes, *, deadline_s: float) -> Answer:
        """Ask this very voter. Raises ``Unreachable``."""
        try:
            return self._post(endpoint, path, body, deadline_s)
        except (*_NOT_SENT, *_BROKEN) as error:
            raise Unreachable(f"the voter did not answer: {error!r}", where=f"{endpoint} {path}") from error

    @contextmanager
    def stream(self, path: str, body: bytes, *, silence_s: float) -> Iterator[Iterator[bytes]]:
        """Pieces of a streamed answer of the best voter; a silence longer than ``silence_s`` raises ``Unreachable``."""
        endpoint = self._merit.order(boottime())[0]
        try:
            with self._pools[endpoint].stream(
                "POST", endpoint + path, content=body, extensions={"timeout": self._limits(silence_s)}
            ) as response:
                yield response.iter_stream()
        except (*_NOT_SENT, *_BROKEN) as error:
            raise Unreachable(f"the watch broke: {error!r}", where=endpoint) from error

    def answered_within(self, age_s: float) -> bool:
        """True when the voter that would be asked next has answered something in the last ``age_s``."""
        now = boottime()
        return self._merit.answered_within(self._merit.order(now)[0], age_s, now)

    def close(self) -> None:
        """Free connections and threads. Repeatable."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools.values():
            pool.close()

    def _post(self, endpoint: str, path: str, body: bytes, limit_s: float) -> Answer:
        self._merit.asked(endpoint, boottime())
        response = self._pools[endpoint].request(
            "POST", endpoint + path, content=body, extensions={"timeout": self._limits(limit_s)}
        )
        answer = Answer(endpoint=endpoint, status=response.status, content=response.content)
        if answer.final:
            self._merit.answered(endpoint, boottime())
        return answer

    def _limits(self, limit_s: float) -> dict[str, float]:
        dial_s = min(self._dial_s, limit_s)
        return {"connect": dial_s, "pool": dial_s, "write": limit_s, "read": limit_s}


def _fault_of(attempt: Future[Answer]) -> str:
    """Why this attempt gave no final answer, or ``""``. Anything but a broken connection is a bug and raised."""
    error = attempt.exception()
    if error is None:
        return "" if attempt.result().final else f"HTTP {attempt.result().status}"
    if not isinstance(error, (*_NOT_SENT, *_BROKEN)):
        raise error
    return repr(error)


def _told(faults: dict[str, str]) -> str:
    return "; ".join(f"{endpoint}: {fault}" for endpoint, fault in faults.items()) or "no answer"
