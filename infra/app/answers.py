"""What goes back to a client: JSON, and one shape for every error.

Must never be here: reading requests, SQL.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from infra.app import served
from infra.app.gate import Unavailable

json_bytes = msgspec.json.encode


class Problem(Exception):
    """An error a client is told: status, stable code, message for people, and the field it is about."""

    def __init__(self, status: int, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.field = status, code, message, field


def raw_json(text: str | bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that is JSON already, as PostgreSQL made or stored it. No cache may keep it."""
    told = {"cache-control": "no-store", **served.headers(), **(headers or {})}
    return Response(text, status_code=status, media_type="application/json", headers=told)


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return raw_json(json_bytes(body), status=status, headers=headers)


def error_response(
    status: int, code: str, message: str, *, field: str | None = None, headers: Mapping[str, str] | None = None
) -> Response:
    error: dict[str, object] = {"code": code, "message": message}
    if field is not None:
        error["field"] = field
    return json_response({"error": error}, status=status, headers=headers)


async def on_problem(_: Request, failure: Exception) -> Response:
    assert isinstance(failure, Problem)
    headers = {"www-authenticate": "Bearer"} if failure.status == 401 else None
    return error_response(failure.status, failure.code, failure.message, field=failure.field, headers=headers)


async def on_unavailable(_: Request, failure: Exception) -> Response:
    """503: a write may or may not have happened; the same Idempotency-Key finds out."""
    assert isinstance(failure, Unavailable)
    return error_response(
        503, "unavailable", "not done in time; try again with the same Idempotency-Key", headers={"retry-after": "1"}
    )
