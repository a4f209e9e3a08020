"""Reading requests: bounded bodies, checked JSON, the session's token, names and identifiers.

Must never be here: SQL, answers.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TypeVar

import msgspec
from starlette.requests import Request

from infra.app.answers import Problem

JSON_LIMIT_BYTES = 64 * 1024
NAME = re.compile(r"[a-z0-9_]{3,30}")
COOKIE = "session"

Shape = TypeVar("Shape", bound=msgspec.Struct)


async def body_of(request: Request, *, limit_bytes: int = JSON_LIMIT_BYTES) -> bytes:
    """The whole body, at most `limit_bytes` of it in memory; Problem 413 above."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit_bytes:
            raise Problem(413, "too-large", f"the body may have at most {limit_bytes} bytes")
    return bytes(body)


async def json_of(request: Request, shape: type[Shape]) -> tuple[Shape, bytes]:
    """The body as `shape`, and as it came. Problem 415, 400 (not JSON) or 422 (names the field)."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        # A form of another origin cannot set this type, so it cannot write with a visitor's cookie.
        raise Problem(415, "not-json", "Content-Type must be application/json")
    body = await body_of(request)
    try:
        value = msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as failure:
        reason, _, place = str(failure).partition(" - at `$.")
        raise Problem(422, "invalid", reason, field=place.rstrip("`") or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Problem(400, "not-json", "the body is not JSON") from None
    for name in shape.__struct_fields__:
        text = getattr(value, name)
        if isinstance(text, str) and "\x00" in text:
            raise Problem(422, "invalid", "a zero byte cannot be stored", field=name)
    return value, body


async def nothing_of(request: Request) -> bytes:
    """The body of a request that needs none: read, so that the connection stays usable, and part of the digest."""
    return await body_of(request, limit_bytes=1024)


def token_of(request: Request) -> bytes:
    """SHA-256 of the bearer token or cookie: the only form in which the database knows it. Problem 401 without."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        token = request.cookies.get(COOKIE, "")
    if not token or len(token) > 200:
        raise Problem(401, "not-signed-in", "sign in first")
    return sha256_of(token)


def sha256_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def optional_token_of(request: Request) -> bytes:
    """Like token_of, but nobody (a digest no session has) when there is none."""
    try:
        return token_of(request)
    except Problem:
        return b""


def name_of(request: Request) -> str:
    name = str(request.path_params["name"])
    if not NAME.fullmatch(name):
        raise Problem(404, "no-such-account", "no account has this name")
    return name


def id_of(request: Request) -> uuid.UUID:
    try:
        return uuid.UUID(request.path_params["id"])
    except ValueError:
        raise Problem(404, "no-such-post", "no post has this id") from None
