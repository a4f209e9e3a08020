"""What is new, as server-sent events: a stream that lives until its client or this process goes.

A stream holds no transaction and writes nothing, so a move may end it at any instant; its client opens it again and
says with Last-Event-ID where it was. Must never be here: a query that waits longer than its stream may.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import LiteralString

import psycopg
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from infra.app.database import Database
from infra.app.gate import Unavailable
from infra.app.state import state_of

EVERY_S = 0.5
QUERY_BUDGET_S = 2.0
# What the browser is told to wait before it opens a stream that ended again.
REOPEN_MS = 200

_NEWEST: LiteralString = """
SELECT id::text FROM posts WHERE published_at IS NOT NULL ORDER BY published_at DESC, id DESC LIMIT 1"""


async def events(request: Request) -> Response:
    """``data:`` is the newest post's id, each time there is another; a comment in between shows that it lives."""
    database = state_of(request).database
    return StreamingResponse(
        _told(database, request.headers.get("last-event-id", "")),
        media_type="text/event-stream",
        headers={"cache-control": "no-store"},
    )


async def _told(database: Database, known: str) -> AsyncIterator[str]:
    yield f"retry: {REOPEN_MS}\n\n"
    while not database.gate.gave_up:
        try:
            # Shielded: a client that leaves cancels this, and a statement on its way is never cancelled (database).
            rows = await asyncio.shield(database.run(_NEWEST, {}, budget_s=QUERY_BUDGET_S))
        except (Unavailable, psycopg.Error):
            return
        newest = str(rows[0][0]) if rows else ""
        yield f"id: {newest}\ndata: {newest}\n\n" if newest != known else ": nothing new\n\n"
        known = newest
        await asyncio.sleep(EVERY_S)
