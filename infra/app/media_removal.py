"""Removing a picture: its row goes, a tombstone stays, and the bytes wait until no restore can bring the row back.

Only with stores. Must never be here: purging (media_copy).
"""

from __future__ import annotations

from typing import LiteralString

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from infra.app.answers import Problem
from infra.app.idempotency import ANSWER, SIGNED_IN, SLOT, digest_of, key_of, write
from infra.app.media import ID
from infra.app.requests import nothing_of, token_of
from infra.app.state import state_of

_REMOVE: LiteralString = f"""
WITH {SIGNED_IN},
allowed AS (
  SELECT account AS scope FROM who
  WHERE NOT EXISTS (SELECT FROM media m WHERE m.id = %(id)s AND m.account <> who.account)
), {SLOT},
gone AS (DELETE FROM media USING fresh WHERE media.id = %(id)s AND media.account = fresh.account RETURNING media.id),
buried AS (INSERT INTO media_tombstones (id) SELECT id FROM gone ON CONFLICT DO NOTHING)
{ANSWER}"""


async def remove(request: Request) -> Response:
    """One's own picture that no post shows. Its bytes stay until no restored database can refer to them."""
    state = state_of(request)
    media = str(request.path_params["id"])
    unknown = Problem(404, "no-such-media", "no picture of yours has this id")
    if not ID.fullmatch(media):
        raise unknown
    body = await nothing_of(request)
    try:
        return await write(
            state.database, _REMOVE, {"token": token_of(request), "id": media}, key=key_of(request),
            digest=digest_of(request, body), status=200, answer={"id": media, "removed": True},
            ttl_s=state.settings.idempotency_ttl_s, missing=unknown,
        )  # fmt: skip
    except psycopg.errors.ForeignKeyViolation:
        raise Problem(409, "in-use", "a post shows this picture") from None
