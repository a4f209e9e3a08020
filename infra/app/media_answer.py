"""A picture as an answer: headers that let a cache keep it for ever, and one range of it.

Must never be here: where its bytes come from.
"""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def headers_of(media: str) -> dict[str, str]:
    """The name is the digest of the bytes: an ETag as it is, and never out of date."""
    return {
        "etag": f'"{media}"',
        "cache-control": "public, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; sandbox",
    }


def unchanged(request: Request, media: str) -> bool:
    """The client has it already."""
    return f'"{media}"' in request.headers.get("if-none-match", "")


def picture(request: Request, media: str, kind: str | None, body: bytes) -> Response:
    """Whole, or the one range asked for; several ranges at once are answered with the whole, as HTTP allows."""
    headers = {**headers_of(media), "accept-ranges": "bytes"}
    found = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if found is None or not any(found.groups()) or request.headers.get("if-range", f'"{media}"') != f'"{media}"':
        return Response(body, media_type=kind, headers=headers)
    first, last = found.groups()
    if first:
        start, end = int(first), min(int(last) + 1 if last else len(body), len(body))
    else:
        start, end = max(0, len(body) - int(last)), len(body)
    if start >= len(body) or start >= end:
        return Response(status_code=416, headers={"content-range": f"bytes */{len(body)}"})
    headers["content-range"] = f"bytes {start}-{end - 1}/{len(body)}"
    return Response(body[start:end], status_code=206, media_type=kind, headers=headers)
