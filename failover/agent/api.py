"""The agent's HTTP API. Mutual TLS lets a host of the fleet read; an operator's signature is needed for every change.

There is no "promote" here and never will be: agents follow the record (safety G2).
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from failover.agent.duties import Duties
from failover.errors import Denied, FailoverError, Refused
from failover.trust.signatures import Verifier

_BODY_LIMIT = 4 * 1024 * 1024
_WAIT_LIMIT_S = 30.0


class HoldOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Body of a signed hold. ``wait_s``: answer when nothing is in flight, at the latest after this."""

    run: str
    epoch: int
    budget_s: float
    wait_s: float


class RunOrder(msgspec.Struct, frozen=True, kw_only=True):
    """Body of other signed orders of a run."""

    run: str
    budget_s: float = 0.0


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """What a refused request says."""

    code: str
    message: str
    hint: str


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def _failed(error: FailoverError) -> Response:
    status = 403 if isinstance(error, Denied) else 409 if isinstance(error, Refused) else 503
    return _json(ErrorBody(code=error.code, message=str(error), hint=error.hint), status)


class Api:
    """The calls, one method each. A method's name is the path's last word."""

    def __init__(self, duties: Duties, verifier: Verifier) -> None:
        self._duties = duties
        self._verifier = verifier

    async def _opened(self, request: Request, purpose: str) -> bytes:
        """The signed body, once: the verifier knows the signer, the duties know what was used before."""
        raw = await request.body()
        if len(raw) > _BODY_LIMIT:
            raise Denied("the body is too large")
        statement = self._verifier.open(raw, purpose=purpose, now_unix_s=time.time())
        self._duties.first_time(statement.serial)
        return statement.body

    async def _order(self, request: Request, purpose: str) -> RunOrder:
        return msgspec.json.decode(await self._opened(request, purpose), type=RunOrder)

    async def state(self, request: Request) -> object:
        """What this agent knows."""
        return await self._duties.state(fresh="fresh" in request.query_params)

    async def received(self, request: Request) -> object:
        """Wait until the standby here has flushed past a position."""
        query = request.query_params
        return await self._duties.received(int(query["lsn"]), wait_s=min(float(query["wait_s"]), _WAIT_LIMIT_S))

    async def certificates(self, _request: Request) -> object:
        """Every lost-write certificate of this host."""
        return self._duties.certificates()

    async def settled(self, request: Request) -> object:
        """Wait until this site is primary in an epoch and, if asked, serves; changes nothing."""
        query = request.query_params
        wait_s = min(float(query["wait_s"]), _WAIT_LIMIT_S)
        return await self._duties.settled(int(query["epoch"]), serving="serving" in query, wait_s=wait_s)

    async def nudge(self, _request: Request) -> object:
        """Read the record now; commands nothing, so it needs no signature."""
        self._duties.nudge()
        return {}

    async def spec(self, request: Request) -> object:
        """Take a HostSpec."""
        self._duties.take_spec(await self._opened(request, "spec"))
        return {}

    async def hold(self, request: Request) -> object:
        """Close the gates for a run."""
        body = msgspec.json.decode(await self._opened(request, "hold"), type=HoldOrder)
        return await self._duties.hold(body.run, epoch=body.epoch, budget_s=body.budget_s, wait_s=body.wait_s)

    async def quiesce(self, request: Request) -> object:
        """Before a hold: workers stop writing, slow requests end."""
        body = msgspec.json.decode(await self._opened(request, "quiesce"), type=HoldOrder)
        return await self._duties.quiesce(body.run, epoch=body.epoch, budget_s=body.budget_s, wait_s=body.wait_s)

    async def release(self, request: Request) -> object:
        """End a run's hold."""
        return await self._duties.release((await self._order(request, "release")).run)

    async def stop(self, request: Request) -> object:
        """Stop PostgreSQL for a planned move from here."""
        body = await self._order(request, "stop")
        return await self._duties.stop_primary(body.run, budget_s=body.budget_s)

    async def writers(self, request: Request) -> object:
        """End open write transactions under a hold."""
        return await self._duties.end_writers((await self._order(request, "writers")).run)

    async def checkpoint(self, request: Request) -> object:
        """CHECKPOINT."""
        await self._opened(request, "checkpoint")
        await self._duties.checkpoint()
        return {}

    async def migrate(self, request: Request) -> object:
        """Run the app's migrations."""
        await self._opened(request, "migrate")
        return {"output": await self._duties.migrate()}


def _guarded(handler: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        try:
            return _json(await handler(request))
        except FailoverError as error:
            return _failed(error)
        except (msgspec.MsgspecError, KeyError, ValueError) as error:
            return _failed(Denied(f"the request is not what was expected: {error}"))

    return endpoint


def application(duties: Duties, verifier: Verifier) -> Starlette:
    """The API over the agent's duties."""
    calls = Api(duties, verifier)
    reads = (calls.state, calls.settled, calls.received, calls.certificates)
    routes = [Route(f"/v1/{call.__name__}", _guarded(call)) for call in reads]
    changes = (
        calls.nudge, calls.spec, calls.hold, calls.quiesce, calls.release, calls.stop, calls.writers,
        calls.checkpoint, calls.migrate,
    )  # fmt: skip
    routes += [Route(f"/v1/{call.__name__}", _guarded(call), methods=["POST"]) for call in changes]
    return Starlette(routes=routes)
