"""Pictures: stored under their digest, whole or not at all, served in ranges, and never as something a browser runs."""

from __future__ import annotations

import hashlib
import random

import httpx
import pytest

from tests.infra.app.processes import AppProcess, Person, Start

PNG = b"\x89PNG\r\n\x1a\n" + random.Random(7).randbytes(300_000)


def _upload(person: Person, content: bytes, *, kind: str = "image/png", key: str | None = None) -> httpx.Response:
    return person.call("POST", "/api/media", content=content, headers={"content-type": kind}, key=key)


def test_up_and_down(app: AppProcess) -> None:
    ada = Person(app.client).arrive()
    answer = _upload(ada, PNG)
    media = hashlib.sha256(PNG).hexdigest()
    assert (answer.status_code, answer.json()) == (201, {"id": media, "type": "image/png", "size_bytes": len(PNG)})
    got = app.client.get(f"/api/media/{media}")
    assert (got.status_code, got.content, got.headers["content-type"]) == (200, PNG, "image/png")
    assert "sandbox" in got.headers["content-security-policy"]
    assert got.headers["x-content-type-options"] == "nosniff"
    assert [path.name for path in app.media.rglob("*") if path.is_file()] == [media]
    post = ada.post("look", media=media)
    assert ada.call("GET", f"/api/posts/{post.json()['id']}").json()["media"] == media


def test_ranges_and_etags(shared_app: AppProcess) -> None:
    media = _upload(Person(shared_app.client).arrive(), PNG).json()["id"]
    path = f"/api/media/{media}"
    part = shared_app.client.get(path, headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, PNG[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(PNG)}"
    assert shared_app.client.get(path, headers={"range": "bytes=-5"}).content == PNG[-5:]
    assert shared_app.client.get(path, headers={"range": f"bytes={len(PNG)}-"}).status_code == 416
    etag = part.headers["etag"]
    assert etag == f'"{media}"'
    assert shared_app.client.get(path, headers={"if-none-match": etag}).status_code == 304
    assert shared_app.client.get(path, headers={"range": "bytes=0-9", "if-range": etag}).status_code == 206
    assert shared_app.client.head(path).headers["content-length"] == str(len(PNG))


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"<svg onload='alert(1)'/>", "image/svg+xml", 415),
        (b"<html>", "image/png", 415),
        (b"", "image/png", 415),
        (PNG, "text/html", 415),
    ],
)
def test_only_pictures(shared_app: AppProcess, content: bytes, kind: str, status: int) -> None:
    assert _upload(Person(shared_app.client).arrive(), content, kind=kind).status_code == status
    assert not list(shared_app.media.glob(".incoming-*"))


def test_too_large_and_strangers_leave_nothing(start: Start, dsn: str) -> None:
    app = start({"alpha": dsn}, APP_MEDIA_MAX_BYTES="1000")
    assert _upload(Person(app.client).arrive(), PNG).status_code == 413
    stranger = Person(app.client)
    stranger.headers = {"authorization": "Bearer wrong"}
    assert _upload(stranger, PNG[:900]).status_code == 401
    assert not [path for path in app.media.rglob("*") if path.is_file()]


def test_the_same_key_with_other_bytes_is_refused(shared_app: AppProcess) -> None:
    ada = Person(shared_app.client).arrive()
    assert _upload(ada, PNG, key="k").status_code == 201
    assert _upload(ada, PNG, key="k").headers["idempotent-replay"] == "true"
    assert _upload(ada, PNG + b"x", key="k").status_code == 422
