"""Idempotency-Key: a write and its stored answer are one statement; a duplicate is answered by one that writes WAL too.

Why: `ON CONFLICT DO NOTHING` answers from a row whose first commit may still wait for the standby; such an answer was
once given in 2 ms with the standby down, and the row was lost with the primary. `DO UPDATE SET seen = seen + 1` waits
itself. Every write goes through here, also one without a key: it gets a key of its own, so that it can be tried again
inside the request. Must never be here: what a particular write does.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from infra.app.answers import Problem, json_bytes, raw_json
from infra.app.database import Database

OWN_KEY_TTL_S = 600.0
KEY_LIMIT = 200

# `who` (one row or none) must stand before this part; `fresh` is one row for the first, none for a duplicate.
SLOT: LiteralString = """
slot AS (
  INSERT INTO idempotency AS i (scope, key, digest, status, body, expires_at)
  SELECT scope, %(key)s, %(digest)s, %(status)s, %(body)s, now() + %(ttl_s)s * interval '1 second' FROM allowed
  ON CONFLICT (scope, key) DO UPDATE SET seen = i.seen + 1
  RETURNING i.scope, i.seen, i.digest, i.status, i.body
), fresh AS (SELECT scope AS account FROM slot WHERE seen = 1)
"""
ANSWER: LiteralString = """
SELECT (SELECT count(*) FROM who), slot.seen, slot.digest, slot.status, slot.body
FROM (SELECT 1) one LEFT JOIN slot ON true
"""
SIGNED_IN: LiteralString = """
who AS (
  SELECT account FROM sessions WHERE token_sha256 = %(token)s AND ended_at IS NULL AND expires_at > now()
)"""
ANYONE_SIGNED_IN: LiteralString = f"WITH {SIGNED_IN}, allowed AS (SELECT account AS scope FROM who), {SLOT}"


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """The client's key, or one of our own; `digest` tells a repeated request from another one under the same key."""

    text: str
    own: bool


def key_of(request: Request) -> Key:
    """The request's key; Problem when it is there but not 1 to 200 visible ASCII characters."""
    given = request.headers.get("idempotency-key")
    if given is None:
        return Key(text=f"a:{uuid.uuid4().hex}", own=True)
    if not (0 < len(given) <= KEY_LIMIT and given.isascii() and given.isprintable()):
        raise Problem(400, "bad-idempotency-key", f"Idempotency-Key must be 1 to {KEY_LIMIT} visible ASCII characters")
    return Key(text=f"c:{given}", own=False)


def digest_of(request: Request, body: bytes) -> bytes:
    """What makes two requests the same request: method, path and body."""
    head = f"{request.method} {request.url.path}\n".encode()
    return hashlib.sha256(head + body).digest()


def scope_of(kind: str, name: str) -> uuid.UUID:
    """The scope of keys of a write that has no account yet."""
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{kind}:{name}")


async def write(
    database: Database,
    statement: LiteralString,
    effects: Mapping[str, object],
    *,
    key: Key,
    digest: bytes,
    status: int,
    answer: Mapping[str, object],
    ttl_s: float,
    missing: Problem | None = None,
    extra: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Do the write once and answer it; a repeated key gets the first answer. Problem 401, `missing` or 422.

    `extra` joins the answer but is never stored (a token that can be computed again).
    """
    parameters = {
        **effects,
        "key": key.text,
        "digest": digest,
        "status": status,
        "body": json_bytes(answer).decode(),
        "ttl_s": OWN_KEY_TTL_S if key.own else ttl_s,
    }
    rows: Sequence[Sequence[Any]] = await database.run(statement, parameters)
    known, seen, stored_digest, stored_status, stored_body = rows[0]
    if not known:
        raise Problem(401, "not-signed-in", "sign in first")
    if seen is None:
        raise missing or Problem(404, "not-found", "no such thing")
    if bytes(stored_digest) != digest:
        raise Problem(422, "key-reused", "this Idempotency-Key was used for another request")
    body = stored_body.encode()
    if extra:
        body = json_bytes({**msgspec.json.decode(body), **extra})
    response = raw_json(body, status=stored_status, headers=headers)
    if seen > 1:
        response.headers["idempotent-replay"] = "true"
    return response
