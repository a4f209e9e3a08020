"""Pictures: named by their SHA-256, so the same bytes are one picture and a picture never changes.

Streamed to a file; where stores are configured, from there to the nearest one, and the file is gone again. The row in
the database comes after the bytes are kept, with the outbox row for each other store in the same statement; a picture
is served without asking the database. Must never be here: any type of content that a browser would run.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import LiteralString, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from infra.app.answers import Problem
from infra.app.idempotency import ANSWER, ANYONE_SIGNED_IN, SIGNED_IN, SLOT, digest_of, key_of, write
from infra.app.media_answer import headers_of, picture, unchanged
from infra.app.media_stores import MediaStores, Nowhere
from infra.app.requests import token_of
from infra.app.state import state_of

ID = re.compile("[0-9a-f]{64}")
_HEAD_BYTES = 16
# Pictures held whole in memory at once, for all requests together: on their way to a store, and on their way out.
_IN_MEMORY = 16
T = TypeVar("T")
_memory = asyncio.Semaphore(_IN_MEMORY)
Keep = Callable[[int, Path, str], Awaitable[str]]

_SIGNED_IN: LiteralString = """
SELECT 1 FROM sessions WHERE token_sha256 = %(token)s AND ended_at IS NULL AND expires_at > now()"""
_CREATE: LiteralString = f"""
{ANYONE_SIGNED_IN},
made AS (
  INSERT INTO media (id, type, size_bytes, account) SELECT %(id)s, %(type)s, %(size_bytes)s, account FROM fresh
  ON CONFLICT DO NOTHING
)
{ANSWER}"""

# With stores. A tombstone that is being purged refuses the row: its bytes may be gone the next moment (media_copy).
_CREATE_STORED: LiteralString = f"""
WITH {SIGNED_IN},
stone AS (SELECT purging_at FROM media_tombstones WHERE id = %(id)s FOR UPDATE),
allowed AS (
  SELECT account AS scope FROM who WHERE NOT EXISTS (SELECT FROM stone WHERE purging_at IS NOT NULL)
), {SLOT},
made AS (
  INSERT INTO media (id, type, size_bytes, account) SELECT %(id)s, %(type)s, %(size_bytes)s, account FROM fresh
  ON CONFLICT DO NOTHING
), queued AS (
  INSERT INTO media_outbox (media, store) SELECT %(id)s, store FROM fresh, unnest(%(behind)s::text[]) AS store
  ON CONFLICT DO NOTHING
), back AS (
  DELETE FROM media_tombstones t USING fresh WHERE t.id = %(id)s
)
{ANSWER}"""
_BEING_REMOVED = Problem(503, "unavailable", "these very bytes are being removed; try again in some minutes")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A picture that was kept: `store` has it, or the folder ("")."""

    id: str
    type: str
    size_bytes: int
    store: str


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
    stores = state.stores
    keep = _in_folder(state.settings.media_dir) if stores is None else _in_stores(stores)
    kept = await _store(request, state.settings.media_dir, state.settings.media_max_bytes, keep)
    effects: dict[str, object] = {"token": token, "id": kept.id, "type": kept.type, "size_bytes": kept.size_bytes}
    if stores is not None:
        effects["behind"] = [name for name in stores.names if name != kept.store]
    return await write(
        state.database, _CREATE if stores is None else _CREATE_STORED, effects,
        key=key_of(request), digest=digest_of(request, kept.id.encode()), status=201,
        answer={"id": kept.id, "type": kept.type, "size_bytes": kept.size_bytes},
        ttl_s=state.settings.idempotency_ttl_s, missing=_BEING_REMOVED,
    )  # fmt: skip


async def download(request: Request) -> Response:
    """The picture, whole or a range of it. Its name is its digest, so a cache may keep it for ever."""
    media = str(request.path_params["id"])
    if not ID.fullmatch(media):
        raise Problem(404, "no-such-media", "no picture has this id")
    state = state_of(request)
    path = path_of(state.settings.media_dir, media)
    if state.stores is None:
        return await _from_folder(request, media, path)
    if unchanged(request, media):
        return Response(status_code=304, headers=headers_of(media))
    return await _from_stores(request, media, path, state.stores)


async def _from_folder(request: Request, media: str, path: Path) -> Response:
    try:
        head, stat = await _in_thread(lambda: _look(path))
    except FileNotFoundError:
        raise Problem(404, "no-such-media", "this site has no picture with this id") from None
    if unchanged(request, media):
        return Response(status_code=304, headers=headers_of(media))
    return FileResponse(path, media_type=kind_of(head), headers=headers_of(media), stat_result=stat)


async def _from_stores(request: Request, media: str, path: Path, stores: MediaStores) -> Response:
    """From the nearest store that has it; from the folder what was uploaded before there were stores."""
    async with _memory:
        try:
            body = await stores.read(media)
        except Nowhere as failure:
            if await _in_thread(path.is_file):
                return await _from_folder(request, media, path)
            if failure.silent:
                # Not "no such picture": a store that may have it does not answer.
                raise Problem(503, "unavailable", "the picture cannot be read now; try again") from failure
            raise Problem(404, "no-such-media", "no store has a picture with this id") from None
    return picture(request, media, kind_of(body[:_HEAD_BYTES]), body)


def _in_folder(folder: Path) -> Keep:
    async def keep(descriptor: int, incoming: Path, media: str) -> str:
        await _in_thread(partial(_keep, descriptor, incoming, path_of(folder, media)))
        return ""

    return keep


def _in_stores(stores: MediaStores) -> Keep:
    async def keep(_: int, incoming: Path, media: str) -> str:
        async with _memory:
            try:
                store = await stores.put(media, await _in_thread(incoming.read_bytes))
            except Nowhere as failure:
                raise Problem(503, "unavailable", "no store takes the picture now; try again") from failure
        incoming.unlink()
        return store

    return keep


async def _store(request: Request, folder: Path, limit_bytes: int, keep: Keep) -> Kept:
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
        store = await keep(descriptor, Path(name), sha256.hexdigest())
    except BaseException:
        os.unlink(name)
        raise
    finally:
        os.close(descriptor)
    return Kept(id=sha256.hexdigest(), type=kind, size_bytes=size_bytes, store=store)


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
