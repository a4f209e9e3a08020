"""The web process: routes, security headers, start and stop. One process listens at one address.

Must never be here: what a handler does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Iterator

import psycopg
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from infra.app import accounts, events, follows, health, log, media, media_removal, posts, static, timeline
from infra.app.answers import Problem, error_response, on_problem, on_unavailable
from infra.app.database import Database
from infra.app.gate import Gate, Unavailable
from infra.app.gate_server import GateServer
from infra.app.media_stores import stores_of
from infra.app.settings import Settings, SettingsError, read
from infra.app.state import State

# What is in flight at SIGTERM may still finish for this long; then it is turned away with 503. The stop has 2 s in all.
GRACE_S = 1.0

_log = logging.getLogger(__name__)


def routes() -> list[BaseRoute]:
    """Every address of the app; the busiest first, since they are tried in order."""
    return [
        Route("/api/posts", posts.create_post, methods=["POST"]),
        Route("/api/timeline", timeline.timeline, methods=["GET"]),
        Route("/api/posts/{id}", posts.read_post, methods=["GET"]),
        Route("/api/posts/{id}/like", posts.like, methods=["PUT"]),
        Route("/api/posts/{id}/like", posts.unlike, methods=["DELETE"]),
        Route("/health", health.health, methods=["GET"]),
        Route("/ready", health.ready, methods=["GET"]),
        Route("/api/latest", timeline.latest, methods=["GET"]),
        Route("/api/events", events.events, methods=["GET"]),
        Route("/api/timeline/seen", timeline.seen, methods=["PUT"]),
        Route("/api/follows/{name}", follows.follow, methods=["PUT"]),
        Route("/api/follows/{name}", follows.unfollow, methods=["DELETE"]),
        Route("/api/accounts", accounts.create_account, methods=["POST"]),
        Route("/api/accounts/{name}", accounts.page_of, methods=["GET"]),
        Route("/api/sessions", accounts.sign_in, methods=["POST"]),
        Route("/api/sessions", accounts.sign_out, methods=["DELETE"]),
        Route("/api/me", accounts.me, methods=["GET"]),
        Route("/api/media", media.upload, methods=["POST"]),
        Route("/api/media/{id}", media.download, methods=["GET"]),
        *static.routes(),
    ]


def build(state: State) -> Starlette:
    """The ASGI application around one state."""
    # A picture can be removed only where the removal waits until no restore can want it back.
    more = [Route("/api/media/{id}", media_removal.remove, methods=["DELETE"])] if state.stores is not None else []
    app = Starlette(
        routes=[*routes(), *more],
        exception_handlers={
            Problem: on_problem,
            Unavailable: on_unavailable,
            psycopg.Error: _on_database_error,
            HTTPException: _on_http_exception,
            ClientDisconnect: _on_disconnect,
        },
    )
    app.state.shared = state
    return app


async def _on_database_error(request: Request, failure: Exception) -> Response:
    """An error nobody foresaw. 500 says nothing about whether a write happened; its key finds out."""
    assert isinstance(failure, psycopg.Error)
    if isinstance(failure, psycopg.errors.UndefinedTable):
        return await on_unavailable(request, Unavailable("the schema is not there yet"))
    _log.error("%s %s: %s, sqlstate %s", request.method, request.url.path, type(failure).__name__, failure.sqlstate)
    return error_response(500, "database-error", "the database refused this; it has been logged")


async def _on_http_exception(_: Request, failure: Exception) -> Response:
    assert isinstance(failure, HTTPException)
    code = {404: "not-found", 405: "method-not-allowed"}.get(failure.status_code, "http-error")
    return error_response(failure.status_code, code, failure.detail, headers=failure.headers)


async def _on_disconnect(_: Request, __: Exception) -> Response:
    """The client left while it was still sending: nobody reads this answer, and it is no error of ours."""
    return error_response(400, "disconnected", "the request ended early")


class Server(uvicorn.Server):
    """uvicorn, but a stop by signal ends with status 0 and gives what is in flight at most GRACE_S."""

    def __init__(self, config: uvicorn.Config, database: Database) -> None:
        super().__init__(config)
        self._database = database

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        yield

    def _stop(self) -> None:
        if not self.should_exit:
            self.should_exit = True
            asyncio.get_running_loop().call_later(GRACE_S, self._database.give_up)


async def serve(settings: Settings) -> None:
    """Answer requests until SIGTERM. Starts with the gate closed and every database dead just as well."""
    gate = Gate(sites=tuple(settings.databases), standing_open=settings.gate_socket is None)
    async with contextlib.AsyncExitStack() as stack:
        database = await stack.enter_async_context(Database(settings, gate))
        if settings.gate_socket is not None:
            await stack.enter_async_context(GateServer(gate, settings.gate_socket))
        config = uvicorn.Config(
            build(State(settings=settings, database=database, stores=stores_of(settings))),
            host=settings.listen_host, port=settings.listen_port, http="httptools", ws="none", lifespan="off",
            access_log=False, log_config=None, server_header=False, proxy_headers=False, timeout_keep_alive=75,
            timeout_graceful_shutdown=2, headers=[("x-content-type-options", "nosniff")],
        )  # fmt: skip
        await Server(config, database).serve()


def main() -> int:
    try:
        settings = read(needs_listen=True)
    except SettingsError as failure:
        log.set_up(process="web", level="WARNING")
        _log.error("%s", failure)
        return 2
    log.set_up(process=f"web {settings.listen_port}", level=settings.log_level)
    uvloop.run(serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
