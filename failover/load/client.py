"""The virtual clients: each logs in, then makes requests with its own token, retrying as a careful client would.

Every attempt that failed is kept. Must never be here: when requests are due (generator), sockets (sender).
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from failover.errors import Unreachable
from failover.load.pick import pick
from failover.load.sender import Answer, Sender
from failover.load.template import Template
from failover.load.workload import HttpRequest, Login
from failover.model.ledger import AttemptFailure, RequestDone, RequestKind, RequestOutcome

BACKOFF_S = (0.05, 0.1, 0.2)


class Compiled:
    """An ``HttpRequest`` whose texts are split once."""

    __slots__ = ("accept", "body", "headers", "method", "path")

    def __init__(self, request: HttpRequest) -> None:
        self.method = request.method
        self.path = Template(request.path)
        headers = dict(request.headers)
        if request.json_body and not any(name.lower() == "content-type" for name in headers):
            headers["Content-Type"] = "application/json"
        self.headers = {name: Template(text) for name, text in headers.items()}
        self.body = Template(request.body, escape_json=request.json_body)
        self.accept = frozenset(request.accept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long and how often. ``retry`` off: one attempt, always."""

    budget_s: float
    attempt_s: float
    retry: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """Lower-case names of the headers that say which primary and epoch an answer came from; "" when none does."""

    site_header: str = ""
    epoch_header: str = ""


class Client:
    """One user of the app. ``number`` picks its favourite address and its random sequence."""

    def __init__(
        self,
        *,
        number: int,
        values: Mapping[str, str],
        sender: Sender,
        served: Served,
        seed: str,
        clock: Callable[[], float],
    ) -> None:
        self.number = number
        self._values = {**values, "client": str(number), "password": secrets.token_urlsafe(18)}
        self._sender = sender
        self._served = served
        self._clock = clock
        self._random = random.Random(f"client:{seed}:{number}")

    @property
    def values(self) -> Mapping[str, str]:
        """What its requests are filled with: after ``log_in`` also what that kept."""
        return self._values

    async def log_in(self, steps: tuple[tuple[Login, Compiled], ...], *, patience: Patience) -> None:
        """Take every step; raises ``Unreachable`` when one is not accepted within the budget."""
        for login, compiled in steps:
            answer = await self._until_accepted(compiled, patience)
            for name, where in login.keep.items():
                found = pick(where, headers=answer.headers or {}, body=answer.body)
                if found is None:
                    message = f"log-in {compiled.method} {login.request.path}: the answer has no {where}"
                    raise Unreachable(message, hint="compare `keep` in the workload with what the app answers")
                self._values[name] = found

    async def _until_accepted(self, compiled: Compiled, patience: Patience) -> Answer:
        ends_s = self._clock() + patience.budget_s
        pauses = 0
        while True:
            answer = await self._attempt(compiled, self._values, within_s=patience.attempt_s, avoid="", keep_body=True)
            if answer.status in compiled.accept:
                return answer
            pause_s = self._pause_s(pauses)
            pauses += 1
            final = 400 <= answer.status < 500 and answer.status != 429
            if final or self._clock() + pause_s >= ends_s:
                got = f"status {answer.status}" if answer.status else answer.why
                where = f"{compiled.method} {compiled.path.fill(self._values)} at {answer.address or 'no address'}"
                raise Unreachable(f"log-in was not accepted: {got}", where=where, hint="is the app up? failover status")
            await asyncio.sleep(pause_s)

    def fill(self, compiled: Compiled, **more: str) -> tuple[str, dict[str, str]]:
        """Path and headers of a request of this user's, for whoever sends it in a way of their own."""
        values = {**self._values, **more}
        return compiled.path.fill(values), {name: template.fill(values) for name, template in compiled.headers.items()}

    async def perform(
        self,
        compiled: Compiled,
        *,
        kind: RequestKind,
        id_: str,
        number: int,
        scheduled_s: float,
        repeatable: bool,
        patience: Patience,
    ) -> RequestDone:
        """Make one request until it succeeds, is refused for good, or its budget is spent. Never raises for the
        network's sake. A request that is not ``repeatable`` is tried again only when nothing can have been sent."""
        values = {**self._values, "id": id_, "number": str(number)}
        sent_s = self._clock()
        ends_s = sent_s + patience.budget_s
        failures: list[AttemptFailure] = []
        while True:
            began_s = self._clock()
            avoid = failures[-1].address if failures and failures[-1].why in ("lost", "timeout") else ""
            within_s = min(patience.attempt_s, max(ends_s - began_s, 0.05))
            answer = await self._attempt(compiled, values, within_s=within_s, avoid=avoid, keep_body=False)
            ended_s = self._clock()
            good = answer.status in compiled.accept
            if not good:
                failures.append(
                    AttemptFailure(
                        why=answer.why or "status", sent_s=round(began_s, 6), ended_s=round(ended_s, 6),
                        address=answer.address, status=answer.status,
                    )
                )  # fmt: skip
            pause_s = self._pause_s(len(failures) - 1)
            again = not good and patience.retry and _worth_another(answer, repeatable) and ended_s + pause_s < ends_s
            if not again:
                break
            await asyncio.sleep(pause_s)
        site, epoch = self._served_by(answer)
        return RequestDone(
            id=id_, kind=kind, scheduled_s=round(scheduled_s, 6), sent_s=round(sent_s, 6),
            decided_s=round(began_s, 6), ended_s=round(ended_s, 6), outcome=_outcome(good, failures),
            status=answer.status, attempts=len(failures) + good, address=answer.address,
            served_by=site, epoch=epoch, failures=tuple(failures),
        )  # fmt: skip

    async def _attempt(
        self, compiled: Compiled, values: Mapping[str, str], *, within_s: float, avoid: str, keep_body: bool
    ) -> Answer:
        return await self._sender.send(
            compiled.method,
            compiled.path.fill(values),
            headers={name: template.fill(values) for name, template in compiled.headers.items()},
            body=compiled.body.fill(values).encode(),
            client=self.number,
            within_s=within_s,
            avoid=avoid,
            keep_body=keep_body,
        )

    def _pause_s(self, failures: int) -> float:
        longest = BACKOFF_S[min(max(failures, 0), len(BACKOFF_S) - 1)]
        return longest * self._random.uniform(0.75, 1.0)

    def _served_by(self, answer: Answer) -> tuple[str, int]:
        headers = answer.headers or {}
        site = headers.get(self._served.site_header, "") if self._served.site_header else ""
        epoch = headers.get(self._served.epoch_header, "") if self._served.epoch_header else ""
        return site, int(epoch) if epoch.isdecimal() else 0


def _worth_another(answer: Answer, repeatable: bool) -> bool:
    if answer.why in ("resolve", "connect"):
        return True
    if not repeatable:
        return False
    return answer.why != "" or answer.status >= 500 or answer.status == 429


def _outcome(good: bool, failures: list[AttemptFailure]) -> RequestOutcome:
    if good:
        return RequestOutcome.ACKNOWLEDGED
    certain = all(failure.why in ("resolve", "connect") for failure in failures)
    return RequestOutcome.FAILED if certain else RequestOutcome.AMBIGUOUS
