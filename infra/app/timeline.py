"""Reading timelines: one's own (rows the worker wrote), and the latest posts of everybody.

Must never be here: writing timeline rows.
"""

from __future__ import annotations

from typing import LiteralString

from starlette.requests import Request
from starlette.responses import Response

from infra.app.answers import Problem, raw_json
from infra.app.idempotency import ANSWER, ANYONE_SIGNED_IN, digest_of, key_of, write
from infra.app.posts import POST_JSON
from infra.app.requests import nothing_of, optional_token_of, token_of
from infra.app.state import state_of

DEFAULT_LIMIT, LARGEST_LIMIT = 20, 100

_VIEWER: LiteralString = """
WITH viewer AS (
  SELECT account FROM sessions WHERE token_sha256 = %(token)s AND ended_at IS NULL AND expires_at > now()
)"""

_OWN: LiteralString = f"""{_VIEWER}
SELECT (SELECT json_build_object('posts', coalesce(json_agg(post), '[]'))::text FROM (
  SELECT {POST_JSON} AS post FROM timeline t JOIN posts p ON p.id = t.post
  WHERE t.account = (SELECT account FROM viewer) ORDER BY t.published_at DESC, t.post DESC LIMIT %(limit)s) latest)
FROM viewer"""

_LATEST: LiteralString = f"""{_VIEWER}
SELECT json_build_object('posts', coalesce(json_agg(post), '[]'))::text FROM (
  SELECT {POST_JSON} AS post FROM posts p WHERE p.published_at IS NOT NULL ORDER BY p.id DESC LIMIT %(limit)s) latest"""

_SEEN: LiteralString = f"""
{ANYONE_SIGNED_IN},
read AS (UPDATE inbox SET unread = 0 FROM fresh WHERE inbox.account = fresh.account)
{ANSWER}"""


async def timeline(request: Request) -> Response:
    parameters = {"token": token_of(request), "limit": _limit(request)}
    rows = await state_of(request).database.run(_OWN, parameters)
    if not rows:
        raise Problem(401, "not-signed-in", "sign in first")
    return raw_json(rows[0][0])


async def latest(request: Request) -> Response:
    parameters = {"token": optional_token_of(request), "limit": _limit(request)}
    rows = await state_of(request).database.run(_LATEST, parameters)
    return raw_json(rows[0][0])


async def seen(request: Request) -> Response:
    state = state_of(request)
    body = await nothing_of(request)
    return await write(
        state.database, _SEEN, {"token": token_of(request)}, key=key_of(request), digest=digest_of(request, body),
        status=200, answer={"unread": 0}, ttl_s=state.settings.idempotency_ttl_s,
    )  # fmt: skip


def _limit(request: Request) -> int:
    given = request.query_params.get("limit")
    if given is None:
        return DEFAULT_LIMIT
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 1 <= int(given) <= LARGEST_LIMIT):
        raise Problem(422, "invalid", f"limit must be 1 to {LARGEST_LIMIT}", field="limit")
    return int(given)
