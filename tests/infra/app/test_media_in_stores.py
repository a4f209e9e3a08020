"""Pictures in two real stores, through the app's own processes: what happens when the nearer one dies and returns."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec
import psycopg
import pytest

from infra.app.media_s3 import S3MediaStore
from infra.app.media_stores import StoreError
from infra.app.settings import StoreSettings
from tests.infra.app.media_servers import ACCESS, SECRET, StoreServer, settings_file, two_stores
from tests.infra.app.processes import AppProcess, Person, Start, eventually, one

Connection = psycopg.Connection[tuple[object, ...]]
WAIT_S = 60.0
in_real_stores = pytest.mark.long  # two servers and two processes for each test


def png(seed: int, size: int = 50_000) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + random.Random(seed).randbytes(size)


def name_of(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


@dataclass
class Site:
    """A web process and a worker, nearest to ``north``."""

    web: AppProcess
    north: StoreServer
    south: StoreServer
    ada: Person

    def upload(self, body: bytes) -> str:
        answer = self.ada.call("POST", "/api/media", content=body, headers={"content-type": "image/png"})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def get(self, media: str) -> tuple[int, bytes]:
        answer = self.web.client.get(f"/api/media/{media}")
        return answer.status_code, answer.content


@pytest.fixture
def site(tmp_path: Path, start: Start, dsn: str) -> Iterator[Site]:
    with two_stores(tmp_path) as (north, south):
        more = {"APP_MEDIA_STORES_FILE": settings_file(tmp_path, (north, south)), "APP_MEDIA_PREFIX": "demo/media"}
        web = start({"alpha": dsn}, **more)
        start({"alpha": dsn}, module="infra.app.worker", **more)
        yield Site(web, north, south, Person(web.client).arrive())


@in_real_stores
def test_uploaded_near_copied_far_and_served_when_the_near_one_is_killed(site: Site, sql: Connection) -> None:
    bodies = [png(seed) for seed in range(12)]
    names = [site.upload(body) for body in bodies]
    assert names == [name_of(body) for body in bodies]
    assert site.get(names[0]) == (200, bodies[0])
    assert not list(site.web.media.rglob(".incoming-*"))
    assert not [path for path in site.web.media.rglob("*") if path.is_file()]
    eventually(lambda: one(sql, "SELECT count(*) FROM media_outbox") == 0, within_s=WAIT_S)
    assert site.north.files() == site.south.files() == dict(zip(names, bodies, strict=True))
    site.north.kill()
    for name, body in zip(names, bodies, strict=True):
        assert site.get(name) == (200, body)
    part = site.web.client.get(f"/api/media/{names[0]}", headers={"range": "bytes=100-199"})
    assert (part.status_code, part.content) == (206, bodies[0][100:200])
    late = png(99)
    assert site.upload(late) == name_of(late)
    assert site.get(name_of(late)) == (200, late)
    assert site.get(name_of(b"nobody has it"))[0] == 503, "the dead store may have it: not a 404"
    site.north.start()
    eventually(lambda: name_of(late) in site.north.files(), within_s=WAIT_S)
    eventually(lambda: site.get(name_of(b"nobody has it"))[0] == 404, within_s=WAIT_S)


@in_real_stores
def test_wrong_bytes_in_the_near_store_are_never_served(site: Site) -> None:
    body = png(1)
    name = site.upload(body)
    eventually(lambda: name in site.south.files(), within_s=WAIT_S)
    rotten = png(2)
    key = f"demo/media/{name_of(rotten)[:2]}/{name_of(rotten)}"
    site.south.kill()
    site.south.put_on_disk(key, rotten)
    site.south.start()
    site.north.kill()
    site.north.put_on_disk(key, body)
    site.north.start()
    eventually(lambda: site.get(name_of(rotten)) == (200, rotten), within_s=WAIT_S)


@in_real_stores
def test_a_removed_picture_keeps_its_bytes_and_comes_back_with_an_upload(site: Site, sql: Connection) -> None:
    body = png(5)
    name = site.upload(body)
    eve = Person(site.web.client).arrive()
    assert eve.call("DELETE", f"/api/media/{name}").status_code == 404
    post = site.ada.post("look", media=name)
    assert post.status_code == 201
    assert site.ada.call("DELETE", f"/api/media/{name}").json()["error"]["code"] == "in-use"
    sql.execute("DELETE FROM fanout")
    sql.execute("DELETE FROM posts")
    removed = site.ada.call("DELETE", f"/api/media/{name}", key="gone")
    assert (removed.status_code, removed.json()) == (200, {"id": name, "removed": True})
    assert site.ada.call("DELETE", f"/api/media/{name}", key="gone").headers["idempotent-replay"] == "true"
    assert site.ada.post("look", media=name).json()["error"]["code"] == "no-such-media"
    assert one(sql, "SELECT count(*) FROM media_tombstones") == 1
    assert name in site.north.files()
    assert site.upload(body) == name
    assert one(sql, "SELECT count(*) FROM media_tombstones") == 0
    assert one(sql, "SELECT count(*) FROM media") == 1


@in_real_stores
def test_bytes_that_are_being_purged_are_refused_until_they_are_gone(site: Site, sql: Connection) -> None:
    body = png(6)
    name = name_of(body)
    sql.execute("INSERT INTO media_tombstones (id, purging_at, due_at) VALUES (%s, now(), now() + '1 day')", [name])
    refused = site.ada.call("POST", "/api/media", content=body, headers={"content-type": "image/png"}, key="k")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "unavailable")
    assert one(sql, "SELECT count(*) FROM media") == 0
    sql.execute("DELETE FROM media_tombstones")
    again = site.ada.call("POST", "/api/media", content=body, headers={"content-type": "image/png"}, key="k")
    assert again.status_code == 201
    assert "idempotent-replay" not in again.headers


@in_real_stores
def test_one_bucket_over_s3(tmp_path: Path) -> None:
    """Also what it says when it cannot: never a key, an address or a secret."""
    with two_stores(tmp_path) as (north, _):
        place = msgspec.convert(north.place(), StoreSettings)
        body = png(8)

        async def story() -> None:
            store = S3MediaStore(place)
            assert await store.get("a/b", deadline_s=WAIT_S) is None
            await store.delete("a/b", deadline_s=WAIT_S)
            await store.put("a/b", body, deadline_s=WAIT_S)
            assert await store.get("a/b", deadline_s=WAIT_S) == body
            await store.delete("a/b", deadline_s=WAIT_S)
            assert await store.get("a/b", deadline_s=WAIT_S) is None
            for change in ({"secret": "not the secret"}, {"bucket": "nobodys"}):
                wrong = msgspec.structs.replace(place, **change)
                with pytest.raises(StoreError) as refused:
                    await S3MediaStore(wrong).put("a/b", body, deadline_s=WAIT_S)
                assert not {SECRET, ACCESS, north.endpoint} & set(str(refused.value).split())
            north.kill()
            for call in (store.get("a/b", deadline_s=WAIT_S), store.put("a/b", body, deadline_s=WAIT_S)):
                with pytest.raises(StoreError):
                    await call

        asyncio.run(story())
        assert SECRET not in repr(place)


def test_without_stores_a_picture_cannot_be_removed_and_no_store_is_known(app: AppProcess, sql: Connection) -> None:
    ada = Person(app.client).arrive()
    name = ada.call("POST", "/api/media", content=png(7), headers={"content-type": "image/png"}).json()["id"]
    assert ada.call("DELETE", f"/api/media/{name}").status_code == 405
    assert [path.name for path in app.media.rglob("*") if path.is_file()] == [name]
    assert one(sql, "SELECT (SELECT count(*) FROM media_outbox) + (SELECT count(*) FROM media_tombstones)") == 0
