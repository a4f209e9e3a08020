"""Pictures: streamed to a file named by their SHA-256, so the same bytes are one file and a file never changes.

The row in the database comes after the file is on disk; the file is served without asking the database.
Must never be here: any type of content that a browser would run.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import LiteralString, TypeVar

from starlette.requests import Request
from starlette.responses import FileResponse, Response

from infra.app.answers import Problem
from infra.app.idempotency import ANSWER, ANYONE_SIGNED_IN, digest_of, key_of, write
from infra.app.requests import token_of
from infra.app.state import state_of

_ID = re.compile("[0-9a-f]{64}")
_HEAD_BYTES = 16
T = TypeVar("T")

_SIGNED_IN: LiteralString = """
SELECT 1 FROM sessions WHERE token_sha256 = %(token)s AND ended_at IS NULL AND expires_at > now()"""
_CREATE: LiteralString = f"""
{ANYONE_SIGNED_IN},
made AS (
  INSERT INTO media (id, type, size_bytes, account) SELECT %(id)s, %(type)s, %(size_bytes)s, account FROM fresh
  ON CONFLICT DO NOTHING
)
{ANSWER}"""


def kind_of(head: bytes) -> str | None:
    """The picture's type by its first bytes, never by what the client calls it; None for anything else."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith((b"GIF87a", b"GIF89a")):
        return "image/gif"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return None


def path_of(folder: Path, media: str) -> Path:
    return folder / media[:2] / media


async def upload(request: Request) -> Response:
    """Store the body and answer its id. Twice the same bytes is the same id."""
    state = state_of(request)
    token = token_of(request)
    if not request.headers.get("content-type", "").lower().startswith("image/"):
        raise Problem(415, "not-a-picture", "Content-Type must be image/…")
    # Asked before the first byte is kept: nobody fills the disk without an account.
    if not await state.database.run(_SIGNED_IN, {"token": token}):
        raise Problem(401, "not-signed-in", "sign in first")
    media, kind, size_bytes = await _store(request, state.settings.media_dir, state.settings.media_max_bytes)
    return await write(
        state.database, _CREATE, {"token": token, "id": media, "type": kind, "size_bytes": size_bytes},
        key=key_of(request), digest=digest_of(request, media.encode()), status=201,
        answer={"id": media, "type": kind, "size_bytes": size_bytes}, ttl_s=state.settings.idempotency_ttl_s,
    )  # fmt: skip


async def download(request: Request) -> Response:
    """The file, whole or a range of it. Its name is its digest, so a cache may keep it for ever."""
    media = str(request.path_params["id"])
    path = path_of(state_of(request).settings.media_dir, media)
    if not _ID.fullmatch(media):
        raise Problem(404, "no-such-media", "no picture has this id")
    try:
        head, stat = await _in_thread(lambda: _look(path))
    except FileNotFoundError:
        raise Problem(404, "no-such-media", "this site has no picture with this id") from None
    headers = {
        "etag": f'"{media}"',
        "cache-control": "public, max-age=31536000, immutable",
        "content-security-policy": "default-src 'none'; sandbox",
    }
    if f'"{media}"' in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return FileResponse(path, media_type=kind_of(head), headers=headers, stat_result=stat)


async def _store(request: Request, folder: Path, limit_bytes: int) -> tuple[str, str, int]:
    await _in_thread(lambda: folder.mkdir(parents=True, exist_ok=True, mode=0o700))
    sha256, size_bytes, head = hashlib.sha256(), 0, b""
    descriptor, name = await _in_thread(lambda: tempfile.mkstemp(prefix=".incoming-", dir=folder))
    try:
        async for chunk in request.stream():
            size_bytes += len(chunk)
            if size_bytes > limit_bytes:
                raise Problem(413, "too-large", f"a picture may have at most {limit_bytes} bytes")
            sha256.update(chunk)
            head = head if len(head) >= _HEAD_BYTES else (head + chunk)[:_HEAD_BYTES]
            await _in_thread(partial(_write_all, descriptor, chunk))
        kind = kind_of(head)
        if kind is None:
            raise Problem(415, "not-a-picture", "only PNG, JPEG, GIF and WebP")
        await _in_thread(partial(_keep, descriptor, Path(name), path_of(folder, sha256.hexdigest())))
    except BaseException:
        os.unlink(name)
        raise
    finally:
        os.close(descriptor)
    return sha256.hexdigest(), kind, size_bytes


def _write_all(descriptor: int, chunk: bytes) -> None:
    rest = memoryview(chunk)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _keep(descriptor: int, incoming: Path, final: Path) -> None:
    """File first, then its name, then the folder: after this returns, a power cut loses nothing."""
    os.fsync(descriptor)
    made = not final.parent.exists()
    final.parent.mkdir(exist_ok=True, mode=0o700)
    incoming.rename(final)
    for folder in (final.parent, final.parent.parent) if made else (final.parent,):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _look(path: Path) -> tuple[bytes, os.stat_result]:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES), os.fstat(file.fileno())


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)
