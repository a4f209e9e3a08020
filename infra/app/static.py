"""The page: a handful of files read once, served from memory with headers that let no foreign script run.

Must never be here: anything personal; the page gets that through the API.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".webmanifest": "application/manifest+json",
}
HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "manifest-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    # Asked again each time: a shell that is cached for long would outlive a repair of it.
    "cache-control": "no-cache",
}


def routes() -> list[BaseRoute]:
    """One route per file, and / for the page itself."""
    files = sorted(path for path in FOLDER.iterdir() if path.suffix in TYPES)
    found: list[BaseRoute] = [Route(f"/{path.name}", _serve(path), methods=["GET"]) for path in files]
    return [Route("/", _serve(FOLDER / "index.html"), methods=["GET"]), *found]


def _serve(path: Path) -> Callable[[Request], Awaitable[Response]]:
    content = path.read_bytes()
    headers = {**HEADERS, "etag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'}

    async def answer(request: Request) -> Response:
        if headers["etag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=TYPES[path.suffix], headers=headers)

    return answer
