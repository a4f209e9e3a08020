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


def application(duties: Duties, verifier: Verifier) -> Starlette:
    """The API over the agent's duties."""

    async def opened(request: Request, purpose: str) -> bytes:
        raw = await request.body()
        if len(raw) > _BODY_LIMIT:
            raise Denied("the body is too large")
        statement = verifier.open(raw, purpose=purpose, now_unix_s=time.time())
        duties.first_time(statement.serial)
        return statement.body

    def guarded(handler: Callable[[Request], Awaitable[object]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            try:
                return _json(await handler(request))
            except FailoverError as error:
                return _failed(error)
            except msgspec.MsgspecError as error:
                return _failed(Denied(f"the body is not what was expected: {error}"))

        return endpoint

    async def state(request: Request) -> object:
        return await duties.state(fresh="fresh" in request.query_params)

    async def nudge(_request: Request) -> object:
        duties.nudge()
        return {}

    async def received(request: Request) -> object:
        return await duties.received(
            int(request.query_params["lsn"]), wait_s=min(float(request.query_params["wait_s"]), 30.0)
        )

    async def put_spec(request: Request) -> object:
        duties.take_spec(await opened(request, "spec"))
        return {}

    async def hold(request: Request) -> object:
        body = msgspec.json.decode(await opened(request, "hold"), type=HoldOrder)
        return await duties.hold(body.run, epoch=body.epoch, budget_s=body.budget_s, wait_s=body.wait_s)

    async def release(request: Request) -> object:
        return await duties.release(msgspec.json.decode(await opened(request, "release"), type=RunOrder).run)

    async def stop(request: Request) -> object:
        body = msgspec.json.decode(await opened(request, "stop"), type=RunOrder)
        return await duties.stop_primary(body.run, budget_s=body.budget_s)

    async def writers(request: Request) -> object:
        body = msgspec.json.decode(await opened(request, "writers"), type=RunOrder)
        return await duties.end_writers(body.run)

    async def checkpoint(request: Request) -> object:
        await opened(request, "checkpoint")
        await duties.checkpoint()
        return {}

    async def migrate(request: Request) -> object:
        await opened(request, "migrate")
        return {"output": await duties.migrate()}

    routes = [Route("/v1/state", guarded(state)), Route("/v1/received", guarded(received))]
    changes = {
        "nudge": nudge,
        "spec": put_spec,
        "hold": hold,
        "release": release,
        "stop": stop,
        "writers": writers,
        "checkpoint": checkpoint,
        "migrate": migrate,
    }
    routes += [Route(f"/v1/{name}", guarded(handler), methods=["POST"]) for name, handler in changes.items()]
    return Starlette(routes=routes)
