"""Who follows whom. Must never be here: timelines; a follow shows posts from now on, the past is not copied."""

from __future__ import annotations

from typing import LiteralString

from starlette.requests import Request
from starlette.responses import Response

from infra.app.answers import Problem
from infra.app.idempotency import ANSWER, SIGNED_IN, SLOT, digest_of, key_of, write
from infra.app.requests import name_of, nothing_of, token_of
from infra.app.state import state_of

_ON_AN_ACCOUNT: LiteralString = f"""
WITH {SIGNED_IN}, target AS (SELECT id FROM accounts WHERE name = %(name)s),
allowed AS (SELECT account AS scope FROM who, target WHERE target.id <> who.account), {SLOT},
"""
_FOLLOW: LiteralString = f"""{_ON_AN_ACCOUNT}
made AS (
  INSERT INTO follows (follower, followed) SELECT fresh.account, target.id FROM fresh, target ON CONFLICT DO NOTHING
)
{ANSWER}"""
_UNFOLLOW: LiteralString = f"""{_ON_AN_ACCOUNT}
gone AS (DELETE FROM follows USING fresh, target WHERE follower = fresh.account AND followed = target.id)
{ANSWER}"""


async def follow(request: Request) -> Response:
    return await _change(request, _FOLLOW, followed=True)


async def unfollow(request: Request) -> Response:
    return await _change(request, _UNFOLLOW, followed=False)


async def _change(request: Request, statement: LiteralString, *, followed: bool) -> Response:
    state = state_of(request)
    name = name_of(request)
    body = await nothing_of(request)
    return await write(
        state.database, statement, {"token": token_of(request), "name": name}, key=key_of(request),
        digest=digest_of(request, body), status=200, answer={"name": name, "followed": followed},
        ttl_s=state.settings.idempotency_ttl_s,
        missing=Problem(404, "no-such-account", "no other account has this name"),
    )  # fmt: skip
