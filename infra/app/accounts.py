"""Accounts and sessions: sign up, sign in, sign out, who am I, an account's page.

Must never be here: plain passwords or tokens in anything stored or logged.
"""

from __future__ import annotations

import hmac
from typing import Annotated, LiteralString

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from infra.app.answers import Problem, raw_json
from infra.app.idempotency import ANSWER, SLOT, digest_of, key_of, scope_of, write
from infra.app.identifiers import new_id
from infra.app.passwords import derive, salt_for
from infra.app.posts import POST_JSON
from infra.app.requests import COOKIE, json_of, name_of, nothing_of, optional_token_of, sha256_of, token_of
from infra.app.state import State, state_of

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9_]{3,30}$")]
Password = Annotated[str, msgspec.Meta(min_length=8, max_length=200)]


class NewAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /api/accounts."""

    name: Name
    password: Password
    display_name: Annotated[str, msgspec.Meta(max_length=60)] = ""


class NewSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of POST /api/sessions."""

    name: Annotated[str, msgspec.Meta(max_length=30)]
    password: Annotated[str, msgspec.Meta(max_length=200)]


_CREATE: LiteralString = f"""
WITH who AS (SELECT 1), allowed AS (SELECT %(scope)s::uuid AS scope), {SLOT},
made AS (
  INSERT INTO accounts (id, name, display_name, salt, verifier)
  SELECT %(id)s, %(name)s, %(display_name)s, %(salt)s, %(verifier)s FROM fresh
)
{ANSWER}"""

_SIGN_IN: LiteralString = f"""
WITH who AS (SELECT 1), allowed AS (SELECT %(scope)s::uuid AS scope), {SLOT},
made AS (
  INSERT INTO sessions (id, account, token_sha256, expires_at)
  SELECT %(id)s, %(account)s, %(token)s, now() + %(session_ttl_s)s * interval '1 second' FROM fresh
)
{ANSWER}"""

# An ended session may still say that it ended: the answer to the first DELETE can have been lost on the way.
_SIGN_OUT: LiteralString = f"""
WITH who AS (SELECT account FROM sessions WHERE token_sha256 = %(token)s),
allowed AS (SELECT account AS scope FROM who), {SLOT},
ended AS (UPDATE sessions SET ended_at = now() WHERE token_sha256 = %(token)s AND EXISTS (SELECT FROM fresh))
{ANSWER}"""

_CREDENTIALS: LiteralString = "SELECT id, salt, verifier FROM accounts WHERE name = %(name)s"

_ME: LiteralString = """
SELECT json_build_object('id', a.id, 'name', a.name, 'display_name', a.display_name,
  'unread', coalesce((SELECT unread FROM inbox i WHERE i.account = a.id), 0))::text
FROM sessions s JOIN accounts a ON a.id = s.account
WHERE s.token_sha256 = %(token)s AND s.ended_at IS NULL AND s.expires_at > now()"""

_PAGE: LiteralString = f"""
WITH viewer AS (
  SELECT account FROM sessions WHERE token_sha256 = %(token)s AND ended_at IS NULL AND expires_at > now()
)
SELECT json_build_object('id', a.id, 'name', a.name, 'display_name', a.display_name,
  'followers', (SELECT count(*) FROM follows f WHERE f.followed = a.id),
  'follows', (SELECT count(*) FROM follows f WHERE f.follower = a.id),
  'followed', EXISTS (SELECT FROM follows f, viewer v WHERE f.followed = a.id AND f.follower = v.account),
  'posts', coalesce((SELECT json_agg(post) FROM (
    SELECT {POST_JSON} AS post FROM posts p
    WHERE p.author = a.id AND p.published_at IS NOT NULL ORDER BY p.published_at DESC LIMIT 30) latest), '[]'))::text
FROM accounts a WHERE a.name = %(name)s"""


async def create_account(request: Request) -> Response:
    state = state_of(request)
    asked, body = await json_of(request, NewAccount)
    key = key_of(request)
    salt = salt_for(asked.name, key.text)
    derived = await derive(asked.password, salt)
    account = new_id()
    effects = {
        "scope": scope_of("account", asked.name),
        "id": account,
        "name": asked.name,
        "display_name": asked.display_name.strip() or asked.name,
        "salt": salt,
        "verifier": derived.verifier,
    }
    try:
        return await write(
            state.database, _CREATE, effects, key=key, digest=derived.digest(body), status=201,
            answer={"id": account, "name": asked.name}, ttl_s=state.settings.idempotency_ttl_s,
        )  # fmt: skip
    except psycopg.errors.UniqueViolation:
        raise Problem(409, "name-taken", "this name is taken", field="name") from None


async def sign_in(request: Request) -> Response:
    state = state_of(request)
    asked, body = await json_of(request, NewSession)
    key = key_of(request)
    rows = await state.database.run(_CREDENTIALS, {"name": asked.name})
    account, salt, verifier = rows[0] if rows else (None, bytes(16), bytes(32))
    derived = await derive(asked.password, salt)
    if not hmac.compare_digest(derived.verifier, verifier) or account is None:
        raise Problem(401, "wrong-credentials", "name or password is wrong")
    token = derived.token(key.text)
    effects = {
        "scope": scope_of("session", asked.name),
        "id": new_id(),
        "account": account,
        "token": sha256_of(token),
        "session_ttl_s": state.settings.session_ttl_s,
    }
    return await write(
        state.database, _SIGN_IN, effects, key=key, digest=derived.digest(body), status=201,
        answer={"account": account, "name": asked.name, "expires_in_s": int(state.settings.session_ttl_s)},
        ttl_s=state.settings.idempotency_ttl_s, extra={"token": token},
        headers={"set-cookie": _cookie(request, token, state)},
    )  # fmt: skip


async def sign_out(request: Request) -> Response:
    state = state_of(request)
    body = await nothing_of(request)
    return await write(
        state.database, _SIGN_OUT, {"token": token_of(request)}, key=key_of(request), digest=digest_of(request, body),
        status=200, answer={"signed_out": True}, ttl_s=state.settings.idempotency_ttl_s,
        headers={"set-cookie": _cookie(request, "", state)},
    )  # fmt: skip


async def me(request: Request) -> Response:
    rows = await state_of(request).database.run(_ME, {"token": token_of(request)})
    if not rows:
        raise Problem(401, "not-signed-in", "sign in first")
    return raw_json(rows[0][0])


async def page_of(request: Request) -> Response:
    rows = await state_of(request).database.run(_PAGE, {"name": name_of(request), "token": optional_token_of(request)})
    if not rows:
        raise Problem(404, "no-such-account", "no account has this name")
    return raw_json(rows[0][0])


def _cookie(request: Request, token: str, state: State) -> str:
    secure = "; Secure" if request.headers.get("x-forwarded-proto", request.url.scheme) == "https" else ""
    age = int(state.settings.session_ttl_s) if token else 0
    return f"{COOKIE}={token}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{secure}"
