"""Posts and likes. A post's statement also enqueues its fan-out: the worker finds it even if this process dies then.

Must never be here: timelines (the worker writes them).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, LiteralString

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from infra.app.answers import Problem, raw_json
from infra.app.idempotency import ANSWER, ANYONE_SIGNED_IN, SIGNED_IN, SLOT, digest_of, key_of, write
from infra.app.identifiers import instant_text, new_id
from infra.app.requests import id_of, json_of, nothing_of, optional_token_of, token_of
from infra.app.state import state_of

FURTHEST = timedelta(days=366)


class NewPost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /api/posts. `client_id` is the client's own id: stored as it is, never checked for uniqueness."""

    body: Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
    media: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")] | None = None
    client_id: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] | None = None
    publish_at: Annotated[datetime, msgspec.Meta(tz=True)] | None = None


INSTANT: LiteralString = """'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'"""

# One post as JSON, from `posts p` and a one-row-or-none `viewer`.
POST_JSON: LiteralString = f"""
json_build_object('id', p.id, 'author', (SELECT name FROM accounts w WHERE w.id = p.author),
  'body', p.body, 'media', p.media, 'client_id', p.client_id,
  'published_at', to_char(p.published_at AT TIME ZONE 'UTC', {INSTANT}),
  'likes', (SELECT count(*) FROM likes l WHERE l.post = p.id),
  'liked', EXISTS (SELECT FROM likes l, viewer v WHERE l.post = p.id AND l.account = v.account))"""

_CREATE: LiteralString = f"""
{ANYONE_SIGNED_IN},
made AS (
  INSERT INTO posts (id, author, body, media, client_id, created_at, publish_at, published_at)
  SELECT %(id)s, account, %(text)s, %(media)s, %(client_id)s, %(at)s, %(publish_at)s, %(published_at)s FROM fresh
  RETURNING id, author, published_at
), queued AS (
  INSERT INTO fanout (post, author, published_at)
  SELECT id, author, published_at FROM made WHERE published_at IS NOT NULL
)
{ANSWER}"""

_READ: LiteralString = f"""
WITH viewer AS (
  SELECT account FROM sessions WHERE token_sha256 = %(token)s AND ended_at IS NULL AND expires_at > now()
)
SELECT {POST_JSON}::text FROM posts p
WHERE p.id = %(id)s AND (p.published_at IS NOT NULL OR p.author = (SELECT account FROM viewer))"""

_ON_A_POST: LiteralString = f"""
WITH {SIGNED_IN},
allowed AS (SELECT account AS scope FROM who, posts p WHERE p.id = %(post)s AND p.published_at IS NOT NULL), {SLOT},
"""
_LIKE: LiteralString = f"""{_ON_A_POST}
made AS (INSERT INTO likes (post, account) SELECT %(post)s, account FROM fresh ON CONFLICT DO NOTHING)
{ANSWER}"""
_UNLIKE: LiteralString = f"""{_ON_A_POST}
gone AS (DELETE FROM likes USING fresh WHERE likes.post = %(post)s AND likes.account = fresh.account)
{ANSWER}"""


async def create_post(request: Request) -> Response:
    state = state_of(request)
    token = token_of(request)
    asked, body = await json_of(request, NewPost)
    if not asked.body.strip():
        raise Problem(422, "invalid", "a post needs some text", field="body")
    now = datetime.now(UTC)
    later = asked.publish_at if asked.publish_at is not None and asked.publish_at > now else None
    if later is not None and later - now > FURTHEST:
        raise Problem(422, "invalid", "at most a year ahead", field="publish_at")
    post = new_id()
    effects = {
        "token": token, "id": post, "text": asked.body, "media": asked.media, "client_id": asked.client_id,
        "at": now, "publish_at": later, "published_at": None if later else now,
    }  # fmt: skip
    answer: dict[str, object] = {"id": post, "client_id": asked.client_id, "created_at": instant_text(now)}
    if later is not None:
        answer["publish_at"] = instant_text(later)
    try:
        return await write(
            state.database, _CREATE, effects, key=key_of(request), digest=digest_of(request, body), status=201,
            answer=answer, ttl_s=state.settings.idempotency_ttl_s,
        )  # fmt: skip
    except psycopg.errors.ForeignKeyViolation:
        raise Problem(422, "no-such-media", "no picture has this id", field="media") from None


async def read_post(request: Request) -> Response:
    parameters = {"id": id_of(request), "token": optional_token_of(request)}
    rows = await state_of(request).database.run(_READ, parameters)
    if not rows:
        raise Problem(404, "no-such-post", "no post has this id")
    return raw_json(rows[0][0])


async def like(request: Request) -> Response:
    return await _mark(request, _LIKE, liked=True)


async def unlike(request: Request) -> Response:
    return await _mark(request, _UNLIKE, liked=False)


async def _mark(request: Request, statement: LiteralString, *, liked: bool) -> Response:
    state = state_of(request)
    post = id_of(request)
    body = await nothing_of(request)
    return await write(
        state.database, statement, {"token": token_of(request), "post": post}, key=key_of(request),
        digest=digest_of(request, body), status=200, answer={"post": post, "liked": liked},
        ttl_s=state.settings.idempotency_ttl_s, missing=Problem(404, "no-such-post", "no post has this id"),
    )  # fmt: skip
